//! What can be read, what cannot, and where it says that the fault is.

use proptest::prelude::*;

use crate::traceql::value::duration_text;
use crate::traceql::{duration, parse};

#[test]
fn what_tempo_reads_is_read() {
    let queries = [
        "{}",
        "{ .a = 1 }",
        "{ span.\"a b\" = `x` && resource.c != nil }",
        "{ nil != .a && event:name = \"x\" && link:traceID = \"1\" && instrumentation:name = \"y\" }",
        "{ span:id = \"01\" && trace:id = \"02\" && span:parentID = \"03\" && nestedSetParent < 0 && childCount = 2 }",
        "{ duration > 1h30m && traceDuration < 1.5ms && -.a < - 3 && .b ^ 2 ^ .c = 8 % 3 }",
        "{ .a } && { .b } || ({ .c } >> { .d })",
        "({ .a } | count() > 2) && ({ .b } | by(.c) | coalesce())",
        "{} !>> {} &> {} ~ {} !~ {} &~ {} << {} !<< {} &<< {} < {} !< {} &< {} !> {}",
        "{} | count() > 1 | avg(duration) >= 1s | max(.a) + 1 < 2 * min(.b) | 3 != sum(.c)",
        "{} | by(.a + .b) | select(.c, name, span:id) | rate()",
        "{} | quantile_over_time(duration, .5, 0.9, 1) by (resource.a, .b) | topk(3) > 2 | bottomk(1)",
        "{} | compare({ status = error }, 5, 1, 2)",
        "{ kind = server && status != ok } | histogram_over_time(.a) with (exemplars=true, most_recent=false)",
        "{ .a =~ \"a|b\" || .b !~ `\\d+` } // a remark",
    ];
    for query in queries {
        assert!(parse(query).is_ok(), "{query}: {:?}", parse(query).err());
    }
}

#[test]
fn what_cannot_be_is_named_with_its_place() {
    let cases = [
        ("", "parse error at line 1, col 1: syntax error: unexpected $end"),
        ("{ .a = }", "parse error at line 1, col 8: syntax error: unexpected }"),
        ("{ .a = 1\n  && }", "parse error at line 2, col 6: syntax error: unexpected }"),
        ("{ a = 1 }", "parse error at line 1, col 3: unknown identifier: a"),
        ("{ .a = \"x }", "parse error at line 1, col 8: literal not terminated"),
        ("{} | rate() by .a", "parse error at line 1, col 16: syntax error: unexpected ., expecting ("),
        ("{} | select(.a .b)", "parse error at line 1, col 16: syntax error: unexpected ., expecting ) or ,"),
        ("{} | nonsense()", "parse error at line 1, col 6: syntax error: unexpected IDENTIFIER"),
        ("{} | topk(1)", "parse error at line 1, col 6: syntax error: unexpected topk"),
        ("{} {}", "parse error at line 1, col 4: syntax error: unexpected {"),
        ("{ name = 1 }", "binary operations must operate on the same type: name = 1"),
        ("{ status > error }", "illegal operation for the given types: status > error"),
        ("{ 1 + 2 }", "span filter field expressions must resolve to a boolean: { 1 + 2 }"),
        ("{ name = nil }", "name=nil is not valid because intrinsics cannot be nil"),
        ("{} | by(1)", "grouping field expressions must reference the span: by(1)"),
        ("{} | avg(name) > 1", "aggregate field expressions must resolve to a number type: avg(name)"),
        ("{} | quantile_over_time(duration, 2)", "quantile must be between 0 and 1: 2"),
        ("1 > 2", "a comparison of scalars needs an aggregate such as count()"),
    ];
    for (query, wanted) in cases {
        assert_eq!(parse(query).map(drop).map_err(|error| error.to_string()), Err(wanted.to_owned()), "{query}");
    }
    for query in ["{ .a =~ \"(\" }", "{ .a =~ 1 }", "{ parent.span.a = 1 }"] {
        assert!(parse(query).is_err(), "{query}");
    }
    assert!(parse(&format!("{{ {}.a{} }}", "(".repeat(500), ")".repeat(500))).is_err(), "nested too deep");
    assert!(parse(&"(".repeat(5000)).is_err());
}

#[test]
fn durations_are_read_and_written_as_go_does() {
    let cases = [
        ("1ns", 1, "1ns"),
        ("1500ns", 1_500, "1.5µs"),
        ("559.0056ms", 559_005_600, "559.0056ms"),
        ("90s", 90_000_000_000, "1m30s"),
        ("1h0m0.5s", 3_600_500_000_000, "1h0m0.5s"),
        ("1d", 86_400_000_000_000, "24h0m0s"),
    ];
    for (text, nanos, written) in cases {
        assert_eq!(duration(text), Some(nanos));
        assert_eq!(duration_text(nanos), written);
        assert_eq!(duration_text(-nanos), format!("-{written}"));
    }
    assert_eq!(duration_text(0), "0s");
    assert_eq!([duration(""), duration("5"), duration("5x"), duration("s")], [None; 4]);
}

/// Words and signs of the language, in any order.
fn soup() -> impl Strategy<Value = String> {
    let words = [
        "{",
        "}",
        "(",
        ")",
        "|",
        "&&",
        "||",
        "!",
        "=",
        "!=",
        "=~",
        "!~",
        ">",
        ">>",
        "&>",
        "!<<",
        "~",
        "+",
        "-",
        "*",
        "^",
        "%",
        "/",
        ",",
        ".a",
        "span.b",
        "resource.",
        "event:name",
        "link:",
        "name",
        "duration",
        "nil",
        "1",
        "2.5",
        "3s",
        "\"x\"",
        "`y`",
        "\"",
        "by",
        "select",
        "count",
        "avg",
        "rate",
        "quantile_over_time",
        "compare",
        "topk",
        "with",
        "true",
        "error",
        "server",
        "parent",
        "word",
        "é",
        "\n",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..40).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn nothing_makes_the_parser_panic(text in "\\PC{0,60}", soup in soup()) {
        let _ = parse(&text);
        let _ = parse(&soup);
        let _ = parse(&format!("{{ {soup} }} | {text}"));
        let _ = duration(&text);
    }
}
