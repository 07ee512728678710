use proptest::prelude::*;

use super::{Component, CoordinatorPoints, GatewayPoints, Legs, UpstreamParts};
use crate::clock::Moment;

const MS: u64 = 1_000_000;

fn at(ms: u64) -> Moment {
    Moment::from_nanos(1 << 40) + std::time::Duration::from_millis(ms)
}

/// The seed document's example: 2 ms gateway, 50 ms prefill, 3 ms transfer, 10 ms decode step.
fn seed_example() -> CoordinatorPoints {
    CoordinatorPoints {
        received: at(2),
        origin_elapsed: 2 * MS,
        prefill_sent: Some(at(2)),
        prefill_done: Some(at(52)),
        decode_sent: Some(at(52)),
        decode_accepted: Some(at(53)),
        first_token: Some(at(65)),
        second_token: Some(at(75)),
        second_tokens: 1,
        last_token: Some(at(95)),
        finished: Some(at(96)),
    }
}

#[test]
fn the_seed_documents_numbers() {
    let numbers = seed_example().numbers(Legs::Serial, None);
    let kv = numbers.kv_transfer.unwrap();
    assert_eq!(numbers.true_ttft, Some(65 * MS));
    assert_eq!(numbers.total_duration, Some(96 * MS));
    assert_eq!(numbers.prefill_duration, Some(50 * MS));
    assert_eq!(numbers.decode_duration, Some(44 * MS));
    assert_eq!(numbers.coordination, Some(0));
    assert_eq!(kv.overhead, 3 * MS);
    assert_eq!(kv.time_to_decode_start, 55 * MS);
    assert_eq!(kv.first_decode_step, 10 * MS);
    assert!(!kv.estimated && !kv.overlapped);
}

#[test]
fn without_a_second_token_the_average_stands_in_and_says_so() {
    let points = CoordinatorPoints { second_token: None, ..seed_example() };
    let kv = points.numbers(Legs::Serial, Some(9 * MS)).kv_transfer.unwrap();
    assert!(kv.estimated);
    assert_eq!((kv.overhead, kv.first_decode_step), (4 * MS, 9 * MS));
    assert_eq!(points.numbers(Legs::Serial, None).kv_transfer, None, "nothing to estimate by: absent, not zero");
}

#[test]
fn a_gap_that_brought_several_tokens_is_several_steps() {
    let points = CoordinatorPoints { second_tokens: 2, ..seed_example() };
    assert_eq!(points.numbers(Legs::Serial, None).kv_transfer.unwrap().first_decode_step, 5 * MS);
}

#[test]
fn a_step_longer_than_the_time_there_was_is_cut() {
    let points = CoordinatorPoints { second_token: Some(at(365)), ..seed_example() };
    let kv = points.numbers(Legs::Serial, None).kv_transfer.unwrap();
    assert_eq!((kv.overhead, kv.first_decode_step, kv.overlapped), (0, 13 * MS, false));
}

#[test]
fn concurrent_legs_that_overlap_say_so() {
    let points = CoordinatorPoints { decode_sent: Some(at(2)), prefill_done: Some(at(60)), ..seed_example() };
    let kv = points.numbers(Legs::Concurrent, None).kv_transfer.unwrap();
    assert_eq!((kv.overhead, kv.overlapped, kv.first_decode_step), (0, true, 10 * MS));
    assert_eq!(points.numbers(Legs::Concurrent, None).coordination, None);
}

#[test]
fn decode_only_has_no_transfer() {
    let points = CoordinatorPoints { prefill_sent: None, prefill_done: None, ..seed_example() };
    let numbers = points.numbers(Legs::DecodeOnly, Some(MS));
    assert_eq!(numbers.kv_transfer, None);
    assert_eq!((numbers.prefill_duration, numbers.coordination), (None, None));
    assert_eq!(numbers.true_ttft, Some(65 * MS));
}

#[test]
fn an_upstream_that_says_nothing_is_one_part() {
    let points = GatewayPoints {
        received: at(0),
        preprocessed: Some(at(1)),
        scheduled: Some(at(2)),
        dispatched: Some(at(4)),
        first_token: Some(at(20)),
        ..GatewayPoints::default()
    };
    let parts = points.ttft_parts(UpstreamParts::default()).unwrap();
    let got: Vec<_> = parts.iter().map(|(component, nanos)| (component.as_str(), nanos / MS)).collect();
    assert_eq!(got, [("preprocess", 1), ("schedule", 1), ("dispatch", 2), ("upstream", 16)]);
}

#[test]
fn placing_the_decode_stage_is_scheduling_and_no_transfer() {
    let points = GatewayPoints {
        received: at(0),
        preprocessed: Some(at(1)),
        scheduled: Some(at(3)),
        dispatched: Some(at(3)),
        decode_scheduling: Some(at(53)),
        decode_scheduled: Some(at(57)),
        first_token: Some(at(70)),
        ..GatewayPoints::default()
    };
    // The coordinator's transfer is from the prefill's end to the decoder's start.
    let said = UpstreamParts { prefill: Some(50 * MS), kv_transfer: Some(7 * MS), first_decode: Some(9 * MS) };
    let parts = points.ttft_parts(said).unwrap();
    let got: Vec<_> = parts.iter().map(|(component, nanos)| (component.as_str(), nanos / MS)).collect();
    let want =
        [("preprocess", 1), ("schedule", 6), ("dispatch", 0), ("prefill", 50), ("kv_transfer", 3), ("first_decode", 9)];
    assert_eq!((&got[..6], got[6]), (&want[..], ("relay", 1)));
    assert_eq!(points.schedule(), Some(6 * MS));
}

#[test]
fn tpot_needs_more_than_one_token() {
    let points = GatewayPoints {
        received: at(0),
        first_token: Some(at(50)),
        finished: Some(at(150)),
        ..GatewayPoints::default()
    };
    assert_eq!(points.tpot(11), Some(10 * MS));
    assert_eq!(points.tpot(1), None);
    assert_eq!(points.tpot(0), None);
}

fn moment() -> impl Strategy<Value = Option<Moment>> {
    proptest::option::weighted(
        0.8,
        (0_u64..5_000_000_000).prop_map(|nanos| at(0) + std::time::Duration::from_nanos(nanos)),
    )
}

prop_compose! {
    /// Points in any order at all: the sums must hold even where an implementation reports nonsense.
    fn coordinator_points()(
        origin_elapsed in 0_u64..5_000_000_000, prefill_sent in moment(), prefill_done in moment(), decode_sent in moment(),
        first_token in moment(), second_token in moment(), second_tokens in 0_u32..5, finished in moment(),
    ) -> CoordinatorPoints {
        CoordinatorPoints {
            received: at(0), origin_elapsed, prefill_sent, prefill_done, decode_sent, decode_accepted: None,
            first_token, second_token, second_tokens, last_token: None, finished,
        }
    }
}

prop_compose! {
    fn serial_points()(
        origin_elapsed in 0_u64..5_000_000_000, gaps in prop::array::uniform7(0_u64..2_000_000_000), second_tokens in 0_u32..5,
    ) -> CoordinatorPoints {
        let mut now = at(0).as_nanos();
        let points = gaps.map(|gap| { now += gap; Some(Moment::from_nanos(now)) });
        CoordinatorPoints {
            received: at(0), origin_elapsed, prefill_sent: points[0], prefill_done: points[1], decode_sent: points[2],
            decode_accepted: points[3], first_token: points[4], second_token: points[5], second_tokens,
            last_token: points[5], finished: points[6],
        }
    }
}

proptest! {
    #[test]
    fn serial_parts_add_up_to_the_true_ttft(points in serial_points(), average in proptest::option::of(0_u64..1_000_000_000)) {
        let n = points.numbers(Legs::Serial, average);
        let kv = n.kv_transfer.unwrap();
        let sum = n.gateway + n.preprocess.unwrap() + n.prefill_duration.unwrap() + kv.overhead + kv.first_decode_step;
        prop_assert_eq!(sum, n.true_ttft.unwrap());
        prop_assert_eq!(kv.time_to_decode_start, n.true_ttft.unwrap() - kv.first_decode_step);
        prop_assert_eq!(kv.prefill_on_path, n.prefill_duration.unwrap());
        let window = points.first_token.unwrap().nanos_since(points.prefill_done.unwrap());
        prop_assert!(kv.first_decode_step <= window && !kv.overlapped);
        prop_assert!(n.coordination.unwrap() <= kv.overhead, "what lies between the stages is part of it");
    }

    #[test]
    fn concurrent_parts_add_up_along_the_critical_path(mut points in serial_points(), late in 0_u64..3_000_000_000) {
        points.decode_sent = points.prefill_sent;
        points.prefill_done = points.prefill_sent.map(|sent| sent + std::time::Duration::from_nanos(late));
        let n = points.numbers(Legs::Concurrent, None);
        let kv = n.kv_transfer.unwrap();
        let sum = n.gateway + n.preprocess.unwrap() + kv.prefill_on_path + kv.overhead + kv.first_decode_step;
        prop_assert_eq!(sum, n.true_ttft.unwrap());
        prop_assert!(!kv.overlapped || kv.overhead == 0);
    }

    #[test]
    fn no_order_of_points_panics_or_invents(points in coordinator_points(), average in proptest::option::of(0_u64..9_000_000_000)) {
        for legs in [Legs::DecodeOnly, Legs::Serial, Legs::Concurrent] {
            let n = points.numbers(legs, average);
            prop_assert_eq!(n.true_ttft.is_some(), points.first_token.is_some());
            prop_assert!(n.kv_transfer.is_none() || points.prefill_sent.is_some());
        }
    }

    #[test]
    fn gateway_parts_add_up_to_the_ttft(
        preprocessed in moment(), dequeued in moment(), scheduled in moment(), dispatched in moment(),
        decode_scheduling in moment(), decode_scheduled in moment(), ttft in 0_u64..5_000_000_000, prefill in proptest::option::of(0_u64..5_000_000_000),
        kv_transfer in proptest::option::of(0_u64..5_000_000_000), first_decode in proptest::option::of(0_u64..5_000_000_000),
    ) {
        let first_token = Some(at(0) + std::time::Duration::from_nanos(ttft));
        let points = GatewayPoints {
            received: at(0), preprocessed, dequeued, scheduled, dispatched, decode_scheduling, decode_scheduled, first_token,
            ..GatewayPoints::default()
        };
        let parts = points.ttft_parts(UpstreamParts { prefill, kv_transfer, first_decode }).unwrap();
        prop_assert_eq!(parts.total(), ttft);
        prop_assert_eq!(parts.iter().map(|(_, nanos)| nanos).sum::<u64>(), ttft);
        prop_assert_eq!(parts.get(Component::Queue).is_some(), dequeued.is_some());
    }
}
