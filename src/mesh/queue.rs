//! Nodes that wait for the search of the shortest paths, nearest first: a binary heap in which a node can move.
//! Read first: any text on Dijkstra's algorithm with "decrease key".

use heapless::Vec;

use crate::limits::NODES;

/// Each node of a graph once, so it is never full.
pub struct Queue {
    heap: Vec<(u64, u16), NODES>,
    /// Where in the heap each node is, or [`OUT`].
    places: [u16; NODES],
}

const OUT: u16 = u16::MAX;

impl Queue {
    pub fn new() -> Box<Self> {
        Box::new(Self { heap: Vec::new(), places: [OUT; NODES] })
    }

    pub fn clear(&mut self) {
        self.heap.clear();
        self.places.fill(OUT);
    }

    /// Puts the node in, or moves it nearer.
    pub fn put(&mut self, distance: u64, node: u16) {
        let Some(place) = self.places.get(usize::from(node)).copied() else { return };
        if let Some(entry) = self.heap.get_mut(usize::from(place)) {
            *entry = (distance, node);
            self.rise(usize::from(place));
        } else if self.heap.push((distance, node)).is_ok() {
            self.rise(self.heap.len() - 1);
        }
    }

    /// Takes the nearest out.
    pub fn pop(&mut self) -> Option<(u64, u16)> {
        let nearest = *self.heap.first()?;
        self.heap.swap_remove(0);
        if let Some(place) = self.places.get_mut(usize::from(nearest.1)) {
            *place = OUT;
        }
        self.note(0);
        self.sink(0);
        Some(nearest)
    }

    fn rise(&mut self, mut at: usize) {
        while at > 0 {
            let above = (at - 1) / 2;
            if self.heap.get(above) <= self.heap.get(at) {
                break;
            }
            self.exchange(at, above);
            at = above;
        }
        self.note(at);
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let below = [2 * at + 1, 2 * at + 2];
            let nearest =
                below.into_iter().filter(|i| *i < self.heap.len()).min_by_key(|i| self.heap.get(*i));
            match nearest {
                Some(nearest) if self.heap.get(nearest) < self.heap.get(at) => {
                    self.exchange(at, nearest);
                    at = nearest;
                }
                _ => return,
            }
        }
    }

    fn exchange(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.note(a);
        self.note(b);
    }

    fn note(&mut self, at: usize) {
        let Some((_, node)) = self.heap.get(at) else { return };
        if let Some(place) = self.places.get_mut(usize::from(*node)) {
            *place = at as u16;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn random_operations_agree_with_a_naive_model() {
        let mut queue = Queue::new();
        let mut model = BTreeMap::new();
        let mut random = 7_u64;
        for round in 0..50_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (draw, node) = (random >> 33, (random >> 20) as u16 % NODES as u16);
            if round % 1000 == 999 {
                queue.clear();
                model.clear();
            }
            if draw % 5 < 3 {
                let distance = model.get(&node).map_or(draw % 1000, |known: &u64| known - known % 7);
                queue.put(distance, node);
                model.insert(node, distance);
            } else {
                let nearest = model.iter().map(|(node, distance)| (*distance, *node)).min();
                assert_eq!(queue.pop(), nearest);
                nearest.map(|(_, node)| model.remove(&node));
            }
        }
    }
}
