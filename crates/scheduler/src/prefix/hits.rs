//! From who has which block to how far each instance's blocks reach.

use super::{Holders, Prompt};

/// Tokens of a prompt that instances have, by the number that an [`super::Index`] knows them by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// In the order of the numbers; those that have nothing are not there.
    of: Vec<(u32, u64)>,
}

impl Hits {
    /// What each instance has without a gap from the first block on. What it has behind a gap is of no use to it.
    #[must_use]
    pub fn of(prompt: &Prompt, holders: &Holders) -> Self {
        let mut blocks = holders.blocks();
        let mut reaching: Vec<u32> = blocks.next().unwrap_or_default().to_vec();
        let mut of = Vec::with_capacity(reaching.len());
        let mut reached = 1;
        for block in blocks {
            if reaching.is_empty() {
                break;
            }
            let mut rest = block;
            let tokens = prompt.tokens_of(reached);
            // Both are in the order of the numbers.
            reaching.retain(|&holder| {
                let at = rest.iter().position(|&other| other >= holder).unwrap_or(rest.len());
                rest = &rest[at..];
                let goes_on = rest.first() == Some(&holder);
                if !goes_on {
                    of.push((holder, tokens));
                }
                goes_on
            });
            reached += 1;
        }
        of.extend(reaching.iter().map(|&holder| (holder, prompt.tokens_of(reached))));
        of.sort_unstable();
        Self { of }
    }

    /// What the instance of this number has.
    #[must_use]
    pub fn tokens(&self, holder: u32) -> u64 {
        let found = self.of.binary_search_by_key(&holder, |&(holder, _)| holder);
        found.map_or(0, |at| self.of[at].1)
    }
}
