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

#[test]
fn reads_what_a_scraper_needs() {
    let text = "# TYPE a counter\n# HELP a What \\\\ it\\nis.\n# UNIT a seconds\n\
                a_total { b = \"c\" , d=\"e\", } \t 1   17.5 # {trace_id=\"2a\",x=\"y\"} 0.5 16.25\n# EOF\n";
    let scrape = parse(text).unwrap();
    assert!(scrape.ended);
    assert_eq!(scrape.about["a"], super::About { help: "What \\ it\nis.".to_owned(), unit: "seconds".to_owned() });
    let sample = &scrape.samples[0];
    assert_eq!((sample.label("b"), sample.label("d")), (Some("c"), Some("e")));
    assert_eq!((sample.value, sample.timestamp), (1.0, Some(17.5)));
    let exemplar = sample.exemplar.as_ref().unwrap();
    assert_eq!((exemplar.value, exemplar.timestamp), (0.5, Some(16.25)));
    assert_eq!(exemplar.trace().map(|trace| trace.to_string()), Some(format!("{:032x}", 0x2a)));
    assert!(!parse("a 1\n").unwrap().ended);
}
