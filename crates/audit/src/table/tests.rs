use super::{Table, grouped, three};

#[test]
fn three_significant_digits() {
    let said = [0.0, 0.071_23, 0.5, 1.0, 65.04, 123.4, 999.6, 1234.0, 1_234_567.0, -2.5].map(three);
    assert_eq!(said, ["0", "0.0712", "0.500", "1.00", "65.0", "123", "1000", "1,230", "1,230,000", "-2.50"]);
}

#[test]
fn thousands_are_grouped() {
    assert_eq!([0.0, 999.0, 1000.0, 1_234_567.0].map(grouped), ["0", "999", "1,000", "1,234,567"]);
}

#[test]
fn columns_are_aligned_whatever_their_width() {
    let mut table = Table::new(["what", "p50", "verdict"]);
    table.row(["a longer name", "1", "holds"].map(str::to_owned));
    table.row(["x", "12.5"].map(str::to_owned));
    assert_eq!(
        table.render(),
        "  what            p50  verdict\n  a longer name     1    holds\n  x              12.5\n"
    );
}
