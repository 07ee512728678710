//! Recursive least squares with forgetting, over a bounded window.
//!
//! What is kept is the information that the samples hold (their normal equations): a new sample is added to it, all that was
//! there before weighs a little less, and a sample that leaves the window is taken out with the weight that it has come to.
//! So an update costs the same however many samples there were, and what is longer ago than the window has no influence
//! at all. Coefficients are never negative: no work takes less time than none, and more never less than less.

use std::collections::VecDeque;

/// Unknowns of the model.
pub(super) const UNKNOWNS: usize = 5;

/// One row: what the unknowns are multiplied by, or they themselves.
pub(super) type Row = [f64; UNKNOWNS];

/// Weight of all samples before, at each new one.
const FORGETTING: f64 = 0.99;

/// Samples that count at most.
pub(super) const WINDOW: usize = 512;

/// The regression.
#[derive(Clone, Debug)]
pub(super) struct Regression {
    window: VecDeque<(Row, f64)>,
    products: [Row; UNKNOWNS],
    targets: Row,
    /// What is believed without any sample …
    prior: Row,
    /// … and how many samples' worth that is.
    belief: Row,
}

impl Regression {
    /// Nothing seen yet.
    pub(super) fn new(prior: Row, belief: Row) -> Self {
        Self { window: VecDeque::new(), products: [[0.0; UNKNOWNS]; UNKNOWNS], targets: [0.0; UNKNOWNS], prior, belief }
    }

    /// Takes in a sample. One that is no number is none.
    pub(super) fn learn(&mut self, row: Row, target: f64) {
        if !target.is_finite() || row.iter().any(|factor| !factor.is_finite()) {
            return;
        }
        for sum in self.products.as_flattened_mut().iter_mut().chain(&mut self.targets) {
            *sum *= FORGETTING;
        }
        self.add(&row, target, 1.0);
        self.window.push_back((row, target));
        if self.window.len() > WINDOW
            && let Some((row, target)) = self.window.pop_front()
        {
            self.add(&row, target, -FORGETTING.powi(WINDOW as i32));
        }
    }

    fn add(&mut self, row: &Row, target: f64, weight: f64) {
        for (i, factor) in row.iter().enumerate() {
            for (j, other) in row.iter().enumerate() {
                self.products[i][j] += weight * factor * other;
            }
            self.targets[i] += weight * factor * target;
        }
    }

    /// The coefficients that fit best, none of them negative.
    pub(super) fn coefficients(&self) -> Row {
        let mut free = [true; UNKNOWNS];
        loop {
            let found = self.solve(free);
            let least = (0..UNKNOWNS).min_by(|&a, &b| found[a].total_cmp(&found[b]));
            match least.filter(|&least| found[least] < 0.0) {
                // Without it the others fit as well as they can.
                Some(least) => free[least] = false,
                None => return found,
            }
        }
    }

    /// Solves the normal equations for those that are `free`; the others are 0.
    fn solve(&self, free: [bool; UNKNOWNS]) -> Row {
        let mut matrix = self.products;
        let mut right = self.targets;
        for i in 0..UNKNOWNS {
            matrix[i][i] += self.belief[i];
            right[i] += self.belief[i] * self.prior[i];
        }
        let free: Vec<usize> = (0..UNKNOWNS).filter(|&i| free[i]).collect();
        // Symmetric and positive: elimination needs no pivoting.
        for (at, &i) in free.iter().enumerate() {
            for &below in &free[at + 1..] {
                let share = matrix[below][i] / matrix[i][i];
                for &j in &free[at..] {
                    matrix[below][j] -= share * matrix[i][j];
                }
                right[below] -= share * right[i];
            }
        }
        let mut found = [0.0; UNKNOWNS];
        for (at, &i) in free.iter().enumerate().rev() {
            let known: f64 = free[at + 1..].iter().map(|&j| matrix[i][j] * found[j]).sum();
            let value = (right[i] - known) / matrix[i][i];
            found[i] = if value.is_finite() { value } else { 0.0 };
        }
        found
    }
}
