use std::collections::{HashMap, HashSet};
use std::time::Duration;

use cluster::blocks::TextBlocks;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::at;

const HOUR: Duration = Duration::from_secs(3600);

/// A prompt of so many blocks of four tokens each.
fn prompt(ids: &[u32]) -> Prompt {
    let asked = SchedulingRequest { prompt_token_ids: ids.to_vec(), ..SchedulingRequest::default() };
    Prompt::of(&asked, ids.len() as u64, 4).unwrap()
}

fn index(most_blocks: usize, age: Duration) -> Index {
    Index::new(IndexConfig { most_blocks, age })
}

fn hits(index: &Index, prompt: &Prompt, seconds: u64) -> Hits {
    Hits::of(prompt, &index.holders(&prompt.blocks, at(seconds)))
}

#[test]
fn a_hit_reaches_from_the_first_block_to_the_first_gap() {
    let ids: Vec<u32> = (0..16).collect();
    let prompt = prompt(&ids);
    for (blocks, want) in [
        (vec![], [0, 0, 0]),
        (vec![vec![1]], [4, 0, 0]),
        (vec![vec![1, 2], vec![1, 2], vec![2]], [8, 12, 0]),
        (vec![vec![1, 2, 3], vec![2], vec![1, 2, 3], vec![1, 3]], [4, 12, 4]),
        // The first block has to be there.
        (vec![vec![2], vec![1, 2, 3], vec![1, 3]], [0, 8, 0]),
        (vec![vec![], vec![1, 2, 3]], [0, 0, 0]),
        (vec![vec![1, 2, 3]; 4], [16, 16, 16]),
    ] {
        let mut holders = Holders::default();
        blocks.iter().for_each(|block| holders.push(block.iter().copied()));
        let hits = Hits::of(&prompt, &holders);
        assert_eq!([1, 2, 3].map(|holder| hits.tokens(holder)), want, "{blocks:?}");
    }
}

#[test]
fn blocks_of_text_count_as_their_share_of_the_tokens() {
    let text = TextBlocks { block_bytes: 256, bytes: 1000, hashes: vec![1, 2, 3] };
    let asked = SchedulingRequest { prompt_text: Some(text), ..SchedulingRequest::default() };
    let prompt = Prompt::of(&asked, 500, 4).unwrap();
    assert_eq!([0, 1, 3].map(|blocks| prompt.tokens_of(blocks)), [0, 128, 384]);
    let both = SchedulingRequest { prompt_token_ids: vec![7; 8], ..asked };
    assert_eq!(Prompt::of(&both, 8, 4).unwrap().tokens_of(1), 4, "tokens are the better of the two");
    assert_eq!(Prompt::of(&both, 8, 16), None, "no full block");
    assert_eq!(Prompt::of(&SchedulingRequest::default(), 8, 4), None);
    let of_model = |model: &str| {
        let asked = SchedulingRequest { model: model.to_owned(), ..both.clone() };
        Prompt::of(&asked, 8, 4).unwrap().blocks
    };
    assert_eq!(of_model("m"), of_model("m"));
    assert_ne!(of_model("m")[0], of_model("n")[0], "another model computes something else");
    assert_eq!(Prompt { units: 0, ..prompt }.tokens_of(u32::MAX), 500, "nonsense has bounds");
}

#[test]
fn what_is_not_placed_again_is_thought_to_be_gone() {
    let (index, prompt) = (index(1000, Duration::from_secs(10)), prompt(&[1, 2, 3, 4]));
    let instance = index.next_holder();
    index.place(&prompt.blocks, instance, at(0));
    assert_eq!([9, 10, 11].map(|seconds| hits(&index, &prompt, seconds).tokens(instance)), [4, 4, 0]);
    index.place(&prompt.blocks, instance, at(10));
    assert_eq!(hits(&index, &prompt, 20).tokens(instance), 4);
}

#[test]
fn another_life_of_an_instance_has_nothing() {
    let (index, prompt) = (index(1000, HOUR), prompt(&[1, 2, 3, 4]));
    let (before, after) = (index.next_holder(), index.next_holder());
    index.place(&prompt.blocks, before, at(0));
    let hits = hits(&index, &prompt, 1);
    assert_eq!((hits.tokens(before), hits.tokens(after)), (4, 0));
}

#[test]
fn what_is_placed_again_and_again_outlasts_what_is_not() {
    let index = index(64 * 2 * 8, HOUR);
    let (often, once) = (prompt(&[1; 4]), prompt(&[2; 4]));
    index.place(&once.blocks, 1, at(0));
    for n in 0..20_000_u32 {
        if n % 50 == 0 {
            index.place(&often.blocks, 1, at(0));
        }
        index.place(&prompt(&[n + 10; 4]).blocks, 1, at(0));
    }
    assert_eq!((hits(&index, &often, 0).tokens(1), hits(&index, &once, 0).tokens(1)), (4, 0));
    assert!(index.entries() <= 64 * 2 * 8, "{}", index.entries());
}

/// What was placed on an instance, as whole prompts: how many blocks of `prompt` it has is found by comparing tokens.
fn in_model(placed: &[(u32, Vec<u32>)], instance: u32, prompt: &[u32]) -> u64 {
    let alike = |other: &Vec<u32>| prompt.iter().zip(other).take_while(|(a, b)| a == b).count() / 4;
    let known = placed.iter().filter(|(by, _)| *by == instance);
    known.map(|(_, other)| alike(other) as u64 * 4).max().unwrap_or(0)
}

fn prompts() -> impl Strategy<Value = Vec<(u32, Vec<u32>)>> {
    vec((1..5_u32, vec(0..2_u32, 4..24)), 1..40)
}

proptest! {
    /// Where there is room the index says what a list of all placements says.
    #[test]
    fn with_room_the_index_is_a_plain_list(placed in prompts(), asked in vec(0..2_u32, 4..24)) {
        let index = index(1_000_000, HOUR);
        for (by, ids) in &placed {
            index.place(&prompt(ids).blocks, *by, at(0));
        }
        let hits = hits(&index, &prompt(&asked), 1);
        for instance in 0..6 {
            prop_assert_eq!(hits.tokens(instance), in_model(&placed, instance, &asked));
        }
    }

    /// Without room it says no more than that, and keeps within its bounds.
    #[test]
    fn without_room_it_forgets_and_makes_nothing_up(placed in prompts(), asked in vec(0..2_u32, 4..24)) {
        let index = index(0, HOUR);
        for (by, ids) in &placed {
            index.place(&prompt(ids).blocks, *by, at(0));
        }
        prop_assert!(index.entries() <= 2 * 64);
        let hits = hits(&index, &prompt(&asked), 1);
        for instance in 0..6 {
            prop_assert!(hits.tokens(instance) <= in_model(&placed, instance, &asked));
        }
    }

    /// Hits are those of looking at every instance by itself.
    #[test]
    fn hits_are_runs_from_the_first_block(blocks in vec(vec(1..8_u32, 0..6), 0..8)) {
        let ids: Vec<u32> = (0..32).collect();
        let sets: Vec<HashSet<u32>> = blocks.iter().map(|block| block.iter().copied().collect()).collect();
        let mut holders = Holders::default();
        for set in &sets {
            let mut sorted: Vec<u32> = set.iter().copied().collect();
            sorted.sort_unstable();
            holders.push(sorted);
        }
        let want: HashMap<u32, u64> = (1..8)
            .map(|holder| (holder, sets.iter().take_while(|set| set.contains(&holder)).count() as u64 * 4))
            .collect();
        let hits = Hits::of(&prompt(&ids), &holders);
        for (holder, tokens) in want {
            prop_assert_eq!(hits.tokens(holder), tokens);
        }
    }
}
