use std::time::Duration;

use http::HeaderValue;
use proptest::prelude::*;
use tokio::time::{sleep, timeout};

use super::*;

const MOMENT: Duration = Duration::from_millis(1);

/// Free slots, waiting requests, and requests that stand aside.
fn counts(admission: &Admission) -> (usize, usize, usize) {
    let queue = admission.queue.lock();
    (queue.free, queue.waiting.len(), queue.aside)
}

async fn comes(slot: &mut Slot<'_>) -> bool {
    timeout(MOMENT, slot.admitted()).await.is_ok()
}

#[test]
fn only_the_word_high_is_urgent() {
    for (value, want) in
        [("high", Priority::High), ("HIGH", Priority::High), ("normal", Priority::Normal), ("1", Priority::Normal)]
    {
        let headers = HeaderMap::from_iter([(PRIORITY, HeaderValue::from_static(value))]);
        assert_eq!(Priority::of(&headers), want, "{value}");
    }
    assert_eq!(Priority::of(&HeaderMap::new()), Priority::Normal);
}

#[test]
fn slots_are_given_at_once_until_there_are_none() {
    let admission = Admission::new(2, 1);
    let slots: Vec<_> = (0..3).map(|_| admission.enter(Priority::Normal).unwrap()).collect();
    assert_eq!(slots.iter().map(Slot::is_admitted).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(admission.enter(Priority::High).unwrap_err(), Full);
    drop(slots);
    assert_eq!(counts(&admission), (2, 0, 0));
}

#[test]
fn without_a_queue_nobody_waits() {
    let admission = Admission::new(1, 0);
    let slot = admission.enter(Priority::Normal).unwrap();
    assert_eq!(admission.enter(Priority::Normal).unwrap_err(), Full);
    drop(slot);
    assert!(admission.enter(Priority::Normal).unwrap().is_admitted());
}

#[tokio::test(start_paused = true)]
async fn the_urgent_come_first_and_the_rest_in_the_order_they_came() {
    let admission = Admission::new(1, 8);
    let first = admission.enter(Priority::Normal).unwrap();
    let mut waiting: Vec<_> = [Priority::Normal, Priority::Normal, Priority::High, Priority::High]
        .into_iter()
        .map(|priority| admission.enter(priority).unwrap())
        .collect();
    drop(first);
    for next in [2, 2, 0, 0] {
        for (index, slot) in waiting.iter_mut().enumerate() {
            assert_eq!(comes(slot).await, index == next, "{index}");
        }
        waiting.remove(next);
    }
    assert_eq!(counts(&admission), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_leaves_the_queue_leaves_no_gap() {
    let admission = Admission::new(1, 2);
    let first = admission.enter(Priority::Normal).unwrap();
    let leaving = admission.enter(Priority::Normal).unwrap();
    let mut staying = admission.enter(Priority::Normal).unwrap();
    drop(leaving);
    assert_eq!(counts(&admission), (0, 1, 0), "it is gone at once");
    drop(first);
    assert!(comes(&mut staying).await);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_leaves_as_its_turn_comes_passes_the_turn_on() {
    let admission = Admission::new(1, 2);
    let first = admission.enter(Priority::Normal).unwrap();
    let leaving = admission.enter(Priority::Normal).unwrap();
    let mut staying = admission.enter(Priority::Normal).unwrap();
    drop(first);
    drop(leaving);
    assert!(comes(&mut staying).await);
    drop(staying);
    assert_eq!(counts(&admission), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_stands_aside_lets_others_pass_and_keeps_his_place() {
    let admission = Admission::new(1, 3);
    let mut busy = admission.enter(Priority::Normal).unwrap();
    let mut second = admission.enter(Priority::Normal).unwrap();
    let mut third = admission.enter(Priority::Normal).unwrap();
    let aside = async {
        busy.aside(sleep(5 * MOMENT)).await;
        busy
    };
    let others = async {
        assert!(comes(&mut second).await, "the slot is free meanwhile");
        assert_eq!(counts(&admission), (0, 1, 1));
        sleep(10 * MOMENT).await;
        assert!(!comes(&mut third).await);
        drop(second);
        assert!(!comes(&mut third).await, "the one that stood aside is before it");
        third
    };
    let (busy, mut third) = tokio::join!(aside, others);
    drop(busy);
    assert!(comes(&mut third).await);
}

#[tokio::test(start_paused = true)]
async fn with_a_full_queue_nobody_stands_aside() {
    let admission = Admission::new(1, 1);
    let mut busy = admission.enter(Priority::Normal).unwrap();
    let mut second = admission.enter(Priority::Normal).unwrap();
    tokio::join!(busy.aside(sleep(5 * MOMENT)), async {
        assert!(!comes(&mut second).await);
        assert_eq!(counts(&admission), (0, 1, 0));
    });
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_aside_gives_his_place_back() {
    let admission = Admission::new(1, 1);
    let mut busy = admission.enter(Priority::Normal).unwrap();
    assert!(timeout(MOMENT, busy.aside(std::future::pending::<()>())).await.is_err());
    assert_eq!(counts(&admission), (1, 0, 1));
    drop(busy);
    assert_eq!(counts(&admission), (1, 0, 0));
}

/// What may happen to a request.
#[derive(Debug, Clone, Copy)]
enum Step {
    Enter(bool),
    Leave(usize),
    Aside(usize),
    Back(usize),
    /// It learns that its turn has come.
    Look(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0_usize..12;
    prop_oneof![
        4 => any::<bool>().prop_map(Step::Enter),
        2 => who.clone().prop_map(Step::Leave),
        1 => who.clone().prop_map(Step::Aside),
        1 => who.clone().prop_map(Step::Back),
        3 => who.prop_map(Step::Look),
    ]
}

fn take(step: Step, slots: &mut Vec<Slot<'_>>) {
    match step {
        Step::Leave(who) if who < slots.len() => drop(slots.swap_remove(who)),
        Step::Aside(who) if who < slots.len() => {
            slots[who].step_aside();
        }
        Step::Back(who) if who < slots.len() && matches!(slots[who].standing, Standing::Aside) => {
            slots[who].come_back();
        }
        Step::Look(who) if who < slots.len() => {
            if let Standing::Waiting(turn) = &mut slots[who].standing
                && turn.try_recv().is_ok()
            {
                slots[who].standing = Standing::Admitted;
            }
        }
        _ => {}
    }
}

proptest! {
    /// Whatever happens in whatever order: the queue is never longer than its bound, slots are never lost or made, a slot is
    /// free only when nobody waits, and in the end everything is given back.
    #[test]
    fn slots_are_conserved_and_the_queue_is_bounded(
        steps in proptest::collection::vec(step(), 0..200),
        all in 1_usize..4,
        places in 0_usize..5,
    ) {
        let admission = Admission::new(all, places);
        let mut slots: Vec<Slot<'_>> = Vec::new();
        for step in steps {
            match step {
                Step::Enter(high) => {
                    let priority = if high { Priority::High } else { Priority::Normal };
                    slots.extend(admission.enter(priority));
                }
                other => take(other, &mut slots),
            }
            let (free, waiting, aside) = counts(&admission);
            prop_assert!(waiting + aside <= places, "{waiting} wait and {aside} stand aside");
            prop_assert!(free == 0 || waiting == 0);
            prop_assert_eq!(slots.len(), all - free + waiting + aside, "each request has a slot or a place");
        }
        slots.clear();
        prop_assert_eq!(counts(&admission), (all, 0, 0));
    }
}
