use super::parse;

#[test]
fn reads_a_real_vllm() {
    let scrape = parse(include_str!("../../tests/fixtures/vllm-metrics.txt")).unwrap();
    let labels = [("model_name", "tiny"), ("engine", "0")];
    assert_eq!(scrape.value("vllm:prompt_tokens_total", &labels), Some(24.0));
    let ttft = scrape.histogram("vllm:time_to_first_token_seconds", &[]).unwrap();
    assert_eq!(ttft.count, 2.0);
    assert_eq!(ttft.buckets.len(), 23);
    assert!((ttft.quantile(0.5).unwrap() - 0.06).abs() < 1e-9, "the first of two lies in (0.04, 0.06]");
}

#[test]
fn says_where_it_is_wrong() {
    for (text, line) in [
        ("a 1", 1),
        ("a 1\nb\n", 2),
        ("a 1\na 1\n", 2),
        ("a{b=\"c\"} 1\na{b=\"c\"} 2\n", 2),
        ("a{b=\"c} 1\n", 1),
        ("a{b=\"c\\x\"} 1\n", 1),
        ("a{b=\"c\",b=\"d\"} 1\n", 1),
        ("a{b=\"c\"}1\n", 1),
        ("a one\n", 1),
        ("a 1 2 3\n", 1),
        ("1a 1\n", 1),
        ("# TYPE a gauge\n# TYPE a gauge\n", 2),
        ("# TYPE a thing\n", 1),
        ("# EOF\na 1\n", 2),
    ] {
        assert_eq!(parse(text).unwrap_err().line, line, "{text}");
    }
}

#[test]
fn reads_special_values_and_escapes() {
    let scrape = parse("a NaN\nb{l=\"x\\\\y\\\"z\\n\"} +Inf 1395066363000\nc 1e-3\n").unwrap();
    assert!(scrape.value("a", &[]).unwrap().is_nan());
    assert_eq!(scrape.value("b", &[("l", "x\\y\"z\n")]), Some(f64::INFINITY));
    assert_eq!(scrape.value("c", &[]), Some(0.001));
}
