// SPDX-License-Identifier: GPL-2.0
use std::collections::HashMap;

struct Counter {
    counts: HashMap<String, usize>,
}

impl Counter {
    #[inline(never)]
    fn count(&mut self, text: &str) -> usize {
        for word in text.split(' ') {
            *self.counts.entry(word.to_string()).or_insert(0) += 1;
        }
        self.counts.values().map(|value| value * 2).sum()
    }
}

#[inline(never)]
fn largest<T: PartialOrd + Copy + std::fmt::Debug>(values: &[T]) -> T {
    let mut found = values[0];
    for &value in values {
        if value > found {
            println!("{:?}", value);
            found = value;
        }
    }
    found
}

fn main() {
    let mut counter = Counter { counts: HashMap::new() };
    let text: Vec<String> = std::env::args().collect();
    println!("{}", counter.count(&text.join(" ")));
    println!("{} {}", largest(&[1, 2, 3]), largest(&[1.5, 0.5]));
}
