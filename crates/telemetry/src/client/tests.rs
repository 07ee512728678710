use super::*;
use crate::clock::now;
use crate::metrics::Format;

const SECOND: Duration = Duration::from_secs(1);

fn watch(terms: ClientTerms) -> (Registry, ClientWatch) {
    let registry = Registry::new();
    let watch = ClientWatch::new(&registry, terms);
    (registry, watch)
}

fn side() -> ClientSide {
    let mut side = ClientSide::default();
    side.came_by(Peer::default());
    side
}

fn scrape(registry: &Registry) -> String {
    String::from_utf8(registry.encode(Format::Text).to_vec()).unwrap()
}

#[test]
fn a_gap_above_the_threshold_is_counted_with_whom_the_client_waited_for() {
    let (registry, watch) = watch(ClientTerms { stall_threshold: SECOND, ..ClientTerms::default() });
    let (mut side, start) = (side(), now());
    let mut at = |seconds: u64, held: u64| {
        side.held(SECOND * u32::try_from(held).unwrap());
        side.tokens(&watch, start + Duration::from_secs(seconds));
    };
    at(5, 0);
    at(6, 0);
    at(8, 0);
    at(8, 0);
    at(11, 2);
    let text = scrape(&registry);
    for (phase, count) in [("second_token", 1), ("decode", 1), ("client", 1)] {
        assert!(text.contains(&format!("stream_stalls_total{{phase=\"{phase}\"}} {count}\n")), "{text}");
    }
}

#[test]
fn the_wait_for_the_first_token_is_no_stall() {
    let (registry, watch) = watch(ClientTerms { stall_threshold: SECOND, ..ClientTerms::default() });
    side().tokens(&watch, now() + 100 * SECOND);
    assert!(!scrape(&registry).contains("} 1\n"));
}

#[test]
fn first_tokens_are_sampled_at_the_ratio() {
    for (ratio, expected) in [(0.0, 0), (0.01, 10), (0.5, 500), (1.0, 1000), (7.0, 1000), (f64::NAN, 0)] {
        let (_, watch) = watch(ClientTerms { egress_check_ratio: ratio, ..ClientTerms::default() });
        let followed = |_: &usize| {
            let (peer, mut side) = (Peer::default(), ClientSide::default());
            side.came_by(peer.clone());
            side.tokens(&watch, now());
            peer.is_followed()
        };
        let sampled = (0..1000).filter(followed).count();
        assert_eq!(sampled, expected, "at {ratio}");
    }
}

#[test]
fn only_a_departure_that_was_noted_has_a_propagation() {
    let (registry, watch) = watch(ClientTerms::default());
    let mut side = ClientSide::default();
    side.aborted(&watch, now(), Stage::Queue);
    let peer = Peer::default();
    side.came_by(peer.clone());
    side.aborted(&watch, now(), Stage::Dispatch);
    peer.note_left();
    side.aborted(&watch, now(), Stage::Relay);
    let text = scrape(&registry);
    assert!(text.contains("client_abort_propagation_milliseconds_count{phase=\"relay\"} 1\n"), "{text}");
    assert!(!text.contains("phase=\"queue\"") && !text.contains("phase=\"dispatch\""), "{text}");
}

#[test]
fn being_held_up_is_summed_and_a_write_is_not_being_held_up() {
    let (registry, watch) = watch(ClientTerms::default());
    let mut side = side();
    side.held(Duration::from_micros(900));
    side.ended(&watch);
    assert!(scrape(&registry).contains("slow_client_stall_seconds_count 0\n"));
    side.held(SECOND / 4);
    side.held(SECOND / 2);
    side.ended(&watch);
    assert!(scrape(&registry).contains("slow_client_stall_seconds_sum 0.75\n"));
}

#[test]
fn a_request_without_a_client_of_ours_is_watched_by_whoever_has_the_client() {
    let (registry, watch) = watch(ClientTerms { stall_threshold: SECOND, egress_check_ratio: 1.0 });
    let (mut side, start) = (ClientSide::default(), now());
    side.tokens(&watch, start);
    side.held(SECOND);
    side.tokens(&watch, start + 5 * SECOND);
    side.ended(&watch);
    let text = scrape(&registry);
    assert!(!text.contains("} 1\n") && text.contains("slow_client_stall_seconds_count 0\n"), "{text}");
}

#[test]
fn a_late_median_is_warned_of_once_a_minute() {
    let (late, start) = (Late::default(), now());
    let mut warned = Vec::new();
    for second in 0..200_u32 {
        let delay = if second % 3 == 0 { 0 } else { 9_000_000 };
        if let Some(median) = late.push(start + SECOND * second, delay) {
            warned.push((second, median));
        }
    }
    assert_eq!(warned, [(31, 9_000_000), (91, 9_000_000), (151, 9_000_000)]);
    let prompt = Late::default();
    assert!((0..200_u32).all(|second| prompt.push(start + SECOND * second, 1_000_000).is_none()));
}
