use proptest::prelude::*;

use super::Quantiles;

#[test]
fn nearest_rank_on_a_hundred_values() {
    let quantiles: Quantiles = (1..=100).rev().collect();
    assert_eq!(quantiles.at(0.5), Some(50));
    assert_eq!(quantiles.at(0.99), Some(99));
    assert_eq!(quantiles.at(1.0), Some(100));
    assert_eq!(quantiles.at(0.0), Some(1));
    assert_eq!(quantiles.mean(), Some(50.5));
    assert_eq!(quantiles.max(), Some(100));
}

#[test]
fn nothing_has_no_quantile() {
    let nothing = Quantiles::default();
    assert_eq!((nothing.at(0.5), nothing.max(), nothing.mean()), (None, None, None));
    assert_eq!(nothing.count(), 0);
}

proptest! {
    #[test]
    fn at_least_the_share_is_at_or_below_and_less_than_it_strictly_below(
        values in prop::collection::vec(0u64..1000, 1..200), share in 0.001f64..1.0,
    ) {
        let count = values.len() as f64;
        let at = Quantiles::of(values.clone()).at(share).expect("values");
        let below = values.iter().filter(|&&v| v < at).count() as f64;
        let up_to = values.iter().filter(|&&v| v <= at).count() as f64;
        prop_assert!(up_to >= share * count - 1e-6);
        prop_assert!(below < share * count + 1e-6);
    }
}
