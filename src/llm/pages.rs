//! Which page of the cache belongs to whom: plain numbers, without any array.

use std::collections::HashMap;

/// Keeps account of the pages of a cache: free ones, those of running sequences, and full ones whose tokens are known and that a
/// later sequence with the same beginning may share.
///
/// A page that nobody uses any more keeps its tokens until its place is needed; the one that was left first goes first.
#[derive(Debug)]
pub struct Pages {
    slots: usize,
    state: Vec<Page>,
    /// Pages without tokens that are known.
    free: Vec<u32>,
    /// The page of known tokens, by what stands before it and its own tokens.
    known: HashMap<Key, u32>,
    clock: u64,
}

/// A page's tokens, and the page before, which stands for all tokens before. Comparing keys compares the tokens themselves, so two
/// texts are never taken for one another.
type Key = (Option<u64>, Box<[u32]>);

#[derive(Debug, Default)]
struct Page {
    users: usize,
    key: Option<Key>,
    /// A number that no other filling of any page has.
    identity: u64,
    left_at: u64,
}

/// A sequence's pages, in order.
#[derive(Debug, Default)]
pub struct Lease {
    pages: Vec<u32>,
    /// How many of them, from the first, have tokens that are known.
    registered: usize,
}

impl Lease {
    /// The numbers of the pages.
    pub fn pages(&self) -> &[u32] {
        &self.pages
    }
}

impl Pages {
    /// `count` pages of `slots` tokens each.
    pub fn new(count: usize, slots: usize) -> Self {
        let mut pages = Pages {
            slots: slots.max(1),
            state: Vec::new(),
            free: Vec::new(),
            known: HashMap::new(),
            clock: 0,
        };
        pages.grow(count);
        pages
    }

    /// Makes it `count` pages in all, if there are fewer.
    pub fn grow(&mut self, count: usize) {
        let new = self.state.len()..count.max(self.state.len());
        self.free.extend(new.clone().rev().map(|p| p as u32));
        self.state.extend(new.map(|_| Page::default()));
    }

    /// How many pages there are.
    pub fn len(&self) -> usize {
        self.state.len()
    }

    /// Whether there is no page at all.
    pub fn is_empty(&self) -> bool {
        self.state.is_empty()
    }

    /// How many pages no sequence uses.
    pub fn available(&self) -> usize {
        self.state.iter().filter(|p| p.users == 0).count()
    }

    /// How many of those hold tokens that a later sequence may share.
    pub fn kept(&self) -> usize {
        let kept = |p: &&Page| p.users == 0 && p.key.is_some();
        self.state.iter().filter(kept).count()
    }

    /// How many pages hold so many tokens.
    pub fn needed(&self, tokens: usize) -> usize {
        tokens.div_ceil(self.slots)
    }

    /// Pages for a sequence that begins with `tokens` and may have `most` tokens, and how many of its first tokens are there
    /// already: whole pages, and at least one token is left to compute. `None`, and nothing is taken, where pages are missing.
    pub fn take(&mut self, tokens: &[u32], most: usize) -> Option<(Lease, usize)> {
        let shared = self.shared(tokens);
        let more = self.needed(most.max(tokens.len())) - shared.len();
        let used = |page: &u32| self.state[*page as usize].users == 0;
        // Shared pages that nobody uses count as available, and are not to be given away.
        if more > self.available() - shared.iter().copied().filter(used).count() {
            return None;
        }
        for &page in &shared {
            self.state[page as usize].users += 1;
        }
        let count = shared.len() * self.slots;
        let mut lease = Lease {
            registered: shared.len(),
            pages: shared,
        };
        for _ in 0..more {
            let page = self.fresh()?;
            self.state[page as usize].users = 1;
            lease.pages.push(page);
        }
        Some((lease, count))
    }

    /// The known pages that `tokens` begin with, all but those of the last token.
    fn shared(&self, tokens: &[u32]) -> Vec<u32> {
        let mut shared: Vec<u32> = Vec::new();
        let whole = tokens.len().saturating_sub(1) / self.slots;
        for chunk in tokens.chunks(self.slots).take(whole) {
            let before = shared.last().map(|&p| self.state[p as usize].identity);
            match self.known.get(&(before, chunk.into())) {
                Some(&page) => shared.push(page),
                None => break,
            }
        }
        shared
    }

    /// A page that nobody uses, without tokens.
    fn fresh(&mut self) -> Option<u32> {
        if let Some(page) = self.free.pop() {
            return Some(page);
        }
        let unused = (0..).zip(&self.state).filter(|(_, p)| p.users == 0);
        let (page, _) = unused.min_by_key(|(_, p)| p.left_at)?;
        let state = &mut self.state[page as usize];
        if let Some(key) = state.key.take() {
            self.known.remove(&key);
        }
        Some(page)
    }

    /// Says that the first `tokens` of a sequence are in its pages, so that others may share those that are full.
    pub fn written(&mut self, lease: &mut Lease, tokens: &[u32]) {
        let full = (tokens.len() / self.slots).min(lease.pages.len());
        while lease.registered < full {
            let at = lease.registered;
            let before = at.checked_sub(1).map(|b| lease.pages[b]);
            let before = before.map(|b| self.state[b as usize].identity);
            let key: Key = (
                before,
                tokens[at * self.slots..(at + 1) * self.slots].into(),
            );
            if self.known.contains_key(&key) {
                // Another sequence computed the same at the same time. Its page is the known one, and what follows here hangs on
                // a page that is not known.
                break;
            }
            let page = lease.pages[at];
            self.clock += 1;
            let state = &mut self.state[page as usize];
            state.identity = self.clock;
            state.key = Some(key.clone());
            self.known.insert(key, page);
            lease.registered += 1;
        }
    }

    /// Gives a sequence's pages back; known tokens stay in them for a while.
    pub fn give_back(&mut self, lease: Lease) {
        // The last page first, so that it is the first to go: beginnings are shared more often.
        for page in lease.pages.into_iter().rev() {
            self.clock += 1;
            let state = &mut self.state[page as usize];
            state.users -= 1;
            state.left_at = self.clock;
            if state.users == 0 && state.key.is_none() {
                self.free.push(page);
            }
        }
    }

    /// Forgets all tokens that nobody uses.
    pub fn forget(&mut self) {
        for (number, page) in (0..).zip(&mut self.state) {
            if page.users == 0
                && let Some(key) = page.key.take()
            {
                self.known.remove(&key);
                self.free.push(number);
            }
        }
    }
}
