//! What was computed of texts' beginnings, found again by their tokens.
//!
//! A tree whose edges are whole pages of tokens. Tokens are compared as they are: nothing is found by a digest that
//! another text could share. What was used longest ago is forgotten first.

use std::collections::BTreeMap;

use crate::{cache::PAGE, plan::Lane};

struct Node {
    /// Tokens after the parent's, whole pages of them.
    edge: Vec<u32>,
    /// The text up to the end of the edge.
    lane: Lane,
    parent: usize,
    /// By the first page of their edges.
    children: BTreeMap<Box<[u32]>, usize>,
    used: u64,
}

pub struct Prefixes {
    nodes: Vec<Option<Node>>,
    /// Children of the root, which is no node: it has nothing to remember.
    roots: BTreeMap<Box<[u32]>, usize>,
    free: Vec<usize>,
    clock: u64,
    page_bytes: usize,
    pages: usize,
}

/// Stands for the root.
const ROOT: usize = usize::MAX;

/// How far a text is known.
struct Found {
    /// The last node on the way, and how many of its edge's tokens fit.
    node: usize,
    inside: usize,
    length: usize,
}

impl Prefixes {
    /// For a model whose texts take so much memory for a page of positions.
    pub fn new(page_bytes: usize) -> Self {
        let (nodes, roots, free) = (Vec::new(), BTreeMap::new(), Vec::new());
        Self { nodes, roots, free, clock: 0, page_bytes, pages: 0 }
    }

    /// Memory that forgetting everything would free, if no running text shared it.
    pub fn bytes(&self) -> usize {
        self.pages * self.page_bytes
    }

    /// How many of the first tokens are remembered.
    pub fn known(&self, tokens: &[u32]) -> usize {
        self.find(tokens).map_or(0, |found| found.length)
    }

    /// A text that begins with as much of `tokens` as is remembered.
    pub fn recall(&mut self, tokens: &[u32]) -> Option<Lane> {
        let found = self.find(tokens)?;
        self.clock += 1;
        let clock = self.clock;
        let mut node = found.node;
        while let Some(seen) = self.get_mut(node) {
            seen.used = clock;
            node = seen.parent;
        }
        Some(self.get(found.node)?.lane.share(found.length))
    }

    /// Remembers the whole pages of a text that `lane` has run, where they take no more than `room` new bytes.
    pub fn remember(&mut self, tokens: &[u32], lane: &Lane, room: usize) {
        let whole = tokens.len().min(lane.length) / PAGE * PAGE;
        let tokens = &tokens[..whole];
        let (node, length) = match self.find(tokens) {
            Some(found) if found.length == whole => return,
            Some(found) => (self.split(found.node, found.inside), found.length),
            None => (ROOT, 0),
        };
        if whole == 0 || (whole - length) / PAGE * self.page_bytes > room {
            return;
        }
        self.clock += 1;
        self.insert(node, &tokens[length..], lane.share(whole));
    }

    /// Forgets what was used longest ago; false if there is nothing left.
    pub fn forget(&mut self) -> bool {
        let leaves = self.nodes.iter().enumerate().filter_map(|(index, node)| {
            node.as_ref().filter(|node| node.children.is_empty()).map(|node| (node.used, index))
        });
        let Some((_, index)) = leaves.min() else { return false };
        if let Some(node) = self.nodes.get_mut(index).and_then(Option::take) {
            self.pages -= node.edge.len() / PAGE;
            self.children_mut(node.parent).remove(&node.edge[..PAGE]);
            self.free.push(index);
        }
        true
    }

    fn find(&self, tokens: &[u32]) -> Option<Found> {
        let (mut children, mut found) = (&self.roots, None);
        let mut length = 0;
        while let Some(&node) = tokens.get(length..length + PAGE).and_then(|page| children.get(page)) {
            let Some(seen) = self.get(node) else { break };
            let pages = seen.edge.chunks_exact(PAGE).zip(tokens[length..].chunks_exact(PAGE));
            let inside = pages.take_while(|(edge, tokens)| edge == tokens).count() * PAGE;
            length += inside;
            found = Some(Found { node, inside, length });
            if inside < seen.edge.len() {
                break;
            }
            children = &seen.children;
        }
        found
    }

    /// The node that ends `inside` tokens into a node's edge.
    fn split(&mut self, node: usize, inside: usize) -> usize {
        let Some(lower) = self.get_mut(node).filter(|lower| inside < lower.edge.len()) else { return node };
        let rest = lower.edge.split_off(inside);
        let upper_edge = std::mem::replace(&mut lower.edge, rest);
        let start = lower.lane.length - lower.edge.len();
        let (lane, parent, used, key) = (lower.lane.share(start), lower.parent, lower.used, key(&lower.edge));
        let upper = Node { edge: upper_edge, lane, parent, children: BTreeMap::from([(key, node)]), used };
        let upper = self.place(upper);
        if let Some(lower) = self.get_mut(node) {
            lower.parent = upper;
        }
        upper
    }

    fn insert(&mut self, parent: usize, edge: &[u32], lane: Lane) {
        self.pages += edge.len() / PAGE;
        let used = self.clock;
        self.place(Node { edge: edge.to_vec(), lane, parent, children: BTreeMap::new(), used });
    }

    /// Puts a node where its parent finds it.
    fn place(&mut self, node: Node) -> usize {
        let (parent, key) = (node.parent, key(&node.edge));
        let index = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(None);
            self.nodes.len() - 1
        });
        self.nodes[index] = Some(node);
        self.children_mut(parent).insert(key, index);
        index
    }

    fn get(&self, node: usize) -> Option<&Node> {
        self.nodes.get(node)?.as_ref()
    }

    fn get_mut(&mut self, node: usize) -> Option<&mut Node> {
        self.nodes.get_mut(node)?.as_mut()
    }

    fn children_mut(&mut self, node: usize) -> &mut BTreeMap<Box<[u32]>, usize> {
        match self.nodes.get_mut(node).and_then(Option::as_mut) {
            Some(node) => &mut node.children,
            None => &mut self.roots,
        }
    }
}

fn key(edge: &[u32]) -> Box<[u32]> {
    edge[..PAGE].into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::tests::support::{KINDS, model};

    /// A text of pages that each hold one number, and a lane that is as long.
    fn text(pages: &[u32]) -> (Vec<u32>, Lane) {
        let model = model(KINDS[0]);
        let mut lane = model.as_language().unwrap().plan().lane();
        lane.length = pages.len() * PAGE;
        (pages.iter().flat_map(|&page| [page; PAGE]).collect(), lane)
    }

    fn remember(prefixes: &mut Prefixes, pages: &[u32]) {
        let (tokens, lane) = text(pages);
        prefixes.remember(&tokens, &lane, usize::MAX);
    }

    fn known(prefixes: &Prefixes, pages: &[u32]) -> usize {
        prefixes.known(&text(pages).0) / PAGE
    }

    #[test]
    fn the_longest_common_beginning_is_found_in_whole_pages() {
        let mut prefixes = Prefixes::new(1);
        remember(&mut prefixes, &[1, 2, 3, 4]);
        remember(&mut prefixes, &[1, 2, 5]);
        remember(&mut prefixes, &[7]);
        let cases: [(&[u32], usize); 7] = [
            (&[1, 2, 3, 4, 9], 4),
            (&[1, 2, 3], 3),
            (&[1, 2], 2),
            (&[1, 2, 5, 5], 3),
            (&[1, 9], 1),
            (&[2], 0),
            (&[], 0),
        ];
        for (pages, length) in cases {
            assert_eq!(known(&prefixes, pages), length, "{pages:?}");
        }
        let (mut tokens, _) = text(&[1, 2, 3]);
        tokens[2 * PAGE + 5] = 8;
        assert_eq!(prefixes.known(&tokens), 2 * PAGE, "a page counts only whole");
        assert_eq!(prefixes.recall(&tokens).unwrap().length, 2 * PAGE);
        assert_eq!(prefixes.bytes(), 6, "what two have in common is kept once");
    }

    #[test]
    fn what_is_known_takes_no_more_memory_and_what_has_no_room_is_not_remembered() {
        let mut prefixes = Prefixes::new(10);
        let (tokens, lane) = text(&[1, 2, 3]);
        prefixes.remember(&tokens, &lane, 29);
        assert_eq!((prefixes.bytes(), prefixes.recall(&tokens).is_none()), (0, true));
        prefixes.remember(&tokens, &lane, 30);
        prefixes.remember(&tokens, &lane, 0);
        prefixes.remember(&tokens[..2 * PAGE], &lane, 0);
        assert_eq!(prefixes.bytes(), 30);
    }

    #[test]
    fn what_was_used_longest_ago_is_forgotten_first() {
        let mut prefixes = Prefixes::new(1);
        for pages in [&[1, 2, 3][..], &[1, 2, 4], &[5]] {
            remember(&mut prefixes, pages);
        }
        prefixes.recall(&text(&[1, 2, 3]).0).unwrap();
        assert!(prefixes.forget());
        assert_eq!([&[1, 2, 4][..], &[1, 2, 3], &[5]].map(|pages| known(&prefixes, pages)), [2, 3, 1]);
        assert!(prefixes.forget());
        assert_eq!([&[1, 2, 3][..], &[5]].map(|pages| known(&prefixes, pages)), [3, 0]);
        assert!(prefixes.forget() && prefixes.forget());
        assert!(!prefixes.forget());
        assert_eq!(prefixes.bytes(), 0);
        remember(&mut prefixes, &[1, 2]);
        assert_eq!((known(&prefixes, &[1, 2]), prefixes.bytes()), (2, 2));
    }
}
