//! Things by number, which they keep as others come and go.
//!
//! Versions share what they have in common: a change copies one block.

use std::ops::Index;
use std::sync::Arc;

/// How many things there are in a block.
const BLOCK: usize = 64;

/// Invariant: every number below `blocks.len() * BLOCK` that has nothing is in `free`.
#[derive(Debug, Clone)]
pub(crate) struct Slots<T> {
    blocks: Vec<Arc<[Option<T>; BLOCK]>>,
    free: Vec<usize>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots {
            blocks: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slots<T> {
    /// How many things there are.
    pub(crate) fn len(&self) -> usize {
        self.blocks.len() * BLOCK - self.free.len()
    }

    /// All things, by their numbers.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.blocks.iter().flat_map(|block| block.iter().flatten())
    }
}

impl<T: Clone> Slots<T> {
    /// Adds a thing, and says by which number.
    pub(crate) fn add(&mut self, thing: T) -> usize {
        if self.free.is_empty() {
            let first = self.blocks.len() * BLOCK;
            self.blocks.push(Arc::new([const { None }; BLOCK]));
            self.free.extend((first..first + BLOCK).rev());
        }
        let number = self.free.pop().expect("there was none, and now there are");
        *self.at(number) = Some(thing);
        number
    }

    /// Puts another thing in the place of one.
    pub(crate) fn replace(&mut self, number: usize, thing: T) {
        if let Some(place) = self.at(number) {
            *place = thing;
        }
    }

    /// Takes a thing out. Its number is another's from now on.
    pub(crate) fn remove(&mut self, number: usize) {
        if self.at(number).take().is_some() {
            self.free.push(number);
        }
    }

    fn at(&mut self, number: usize) -> &mut Option<T> {
        &mut Arc::make_mut(&mut self.blocks[number / BLOCK])[number % BLOCK]
    }
}

/// # Panics
/// Where there is nothing.
impl<T> Index<usize> for Slots<T> {
    type Output = T;

    fn index(&self, number: usize) -> &T {
        let found = &self.blocks[number / BLOCK][number % BLOCK];
        found
            .as_ref()
            .expect("whoever has a number has what it stands for")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_keeps_its_number() {
        let mut slots = Slots::default();
        let numbers: Vec<_> = (0..3 * BLOCK).map(|thing| slots.add(thing)).collect();
        let before = slots.clone();
        slots.remove(numbers[7]);
        slots.remove(numbers[7]);
        slots.remove(numbers[BLOCK]);
        slots.replace(numbers[0], 2000);
        assert_eq!(slots.len(), 3 * BLOCK - 2);
        assert_eq!(slots.iter().count(), slots.len());
        let new = [slots.add(1000), slots.add(1001), slots.add(1002)];
        assert_eq!(new.map(|number| slots[number]), [1000, 1001, 1002]);
        assert_eq!(slots[numbers[0]], 2000);
        for (thing, number) in numbers.iter().enumerate() {
            assert_eq!(before[*number], thing);
            if ![0, 7, BLOCK].contains(&thing) {
                assert_eq!(slots[*number], thing);
            }
        }
    }
}
