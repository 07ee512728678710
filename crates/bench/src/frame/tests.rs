use super::*;

const RPS: Metric = Metric { name: "requests/s", unit: "", decimals: 0 };

fn sheet(samples: &[(&'static str, &[f64])]) -> Sheet {
    let mut sheet = Sheet::default();
    for (subject, values) in samples {
        values.iter().for_each(|&value| sheet.push(subject, RPS, value));
    }
    sheet
}

fn judge(sheet: &Sheet, rule: Rule) -> Judged {
    sheet.judge(Bar { subject: "ours", metric: RPS, rule }, "nginx")
}

#[test]
fn pairs_of_one_pass_are_compared_not_medians_of_all() {
    // The machine is ten times slower in the second pass: the medians' ratio would be 60 / 1000.
    let sheet = sheet(&[("ours", &[600.0, 60.0, 6.0]), ("nginx", &[1000.0, 100.0, 10.0])]);
    let judged = judge(&sheet, Rule::RatioAtLeast(0.6));
    assert_eq!((judged.pairs, judged.holds), (3, true));
    assert!((judged.value.unwrap() - 0.6).abs() < 1e-12);
    assert!(!judge(&sheet, Rule::RatioAtLeast(0.61)).holds);
    assert!(judge(&sheet, Rule::RatioAtMost(0.61)).holds);
}

#[test]
fn an_excess_may_be_negative() {
    let sheet = sheet(&[("ours", &[1.0, 2.0]), ("nginx", &[1.5, 2.25])]);
    let judged = judge(&sheet, Rule::ExcessAtMost(0.15));
    assert!(judged.holds);
    assert!((judged.value.unwrap() + 0.375).abs() < 1e-12);
}

#[test]
fn an_aside_is_taken_off_pass_by_pass() {
    let sheet = sheet(&[("ours", &[1.0, 4.0]), ("nginx", &[0.5, 2.0]), ("direct", &[0.4, 1.9])]);
    let aside = Aside { what: "an exchange", subject: "direct", metric: RPS };
    let judged = judge(&sheet, Rule::ExcessBeside(0.15, aside));
    assert!(judged.holds);
    assert!((judged.value.unwrap() - 0.1).abs() < 1e-12);
    assert!(!judge(&sheet, Rule::ExcessBeside(0.15, Aside { subject: "nobody", ..aside })).holds, "not measured");
}

#[test]
fn limits_look_at_the_worst_sample_or_the_middle_one() {
    let sheet = sheet(&[("ours", &[1.0, 1.0, 9.0])]);
    assert!(!judge(&sheet, Rule::AtMost(2.0)).holds);
    assert!(judge(&sheet, Rule::MedianAtMost(2.0)).holds);
    assert!(judge(&sheet, Rule::MedianAtLeast(1.0)).holds && !judge(&sheet, Rule::MedianAtLeast(1.1)).holds);
}

#[test]
fn what_was_not_measured_does_not_hold() {
    for rule in [Rule::RatioAtLeast(0.0), Rule::RatioAtMost(9.0), Rule::ExcessAtMost(9.0), Rule::AtMost(9.0)] {
        let judged = judge(&Sheet::default(), rule);
        assert_eq!((judged.value, judged.holds), (None, false), "{rule:?}");
    }
}

#[test]
fn medians_and_percentiles() {
    assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
    assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
    assert_eq!(median(std::iter::empty()), None);
    let mut values: Vec<u64> = (1..=100).rev().collect();
    assert_eq!(percentile(&mut values, 0.5), Some(50));
    assert_eq!(percentile(&mut values, 0.99), Some(99));
    assert_eq!(percentile(&mut values, 1.0), Some(100));
    assert_eq!(percentile(&mut [], 0.5), None);
}

fn report(sheet: Sheet) -> Report {
    Report {
        title: "bench of tests",
        machine: Machine { cores: 2, cpu: "Some CPU".to_owned(), kernel: "6.1".to_owned(), load: "0.10".to_owned() },
        yardstick: "nginx",
        subjects: vec!["nginx", "ours"],
        columns: vec![RPS],
        sheet,
        bars: vec![Bar { subject: "ours", metric: RPS, rule: Rule::RatioAtLeast(0.6) }],
        notes: vec!["a note".to_owned()],
    }
}

#[test]
fn a_report_shows_figures_beside_bars() {
    let report = report(sheet(&[("ours", &[6_500.0]), ("nginx", &[10_000.0])]));
    assert_eq!(report.verdict(), Verdict::Held);
    let text = report.to_string();
    assert!(text.contains("10 000"), "{text}");
    assert!(text.contains("at least 0.60 x nginx"), "{text}");
    assert!(text.contains("0.65"), "{text}");
    assert!(text.contains("every bar holds"), "{text}");
    assert!(text.lines().all(|line| line == line.trim_end()), "no trailing blanks");
}

#[test]
fn a_missed_bar_shows_in_text_json_and_verdict() {
    let report = report(sheet(&[("ours", &[5_000.0]), ("nginx", &[10_000.0])]));
    assert_eq!(report.verdict(), Verdict::Missed);
    assert!(report.to_string().contains("MISSED"));
    let json = report.json();
    assert_eq!(json["verdict"], "missed");
    assert_eq!(json["bars"][0]["holds"], false);
    assert_eq!(json["bars"][0]["value"], 0.5);
    assert_eq!(json["figures"]["ours"]["requests/s"]["samples"][0], 5_000.0);
}
