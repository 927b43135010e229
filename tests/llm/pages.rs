//! The account of pages against a record that knows everything.

use std::collections::HashMap;

use zmlx::llm::{Lease, Pages};

use crate::common::Rng;

const SLOTS: usize = 4;

struct Running {
    lease: Lease,
    tokens: Vec<u32>,
    written: usize,
}

/// Random sequences come, write and go. What a page is said to hold is what was written into it, and nobody writes into a page that
/// another one reads.
#[test]
fn shared_pages_hold_what_they_are_said_to_hold() {
    let mut rng = Rng::new();
    let mut shared_at_all = 0;
    for _ in 0..50 {
        let count = 4 + (rng.next() % 12) as usize;
        let mut pages = Pages::new(count, SLOTS);
        // The tokens before and in each slot, as the one who wrote them knows.
        let mut content: HashMap<(u32, usize), Vec<u32>> = HashMap::new();
        let mut running: Vec<Running> = Vec::new();
        for _ in 0..200 {
            let choice = rng.next() % 3;
            if choice == 0 {
                let tokens: Vec<u32> = (0..1 + rng.next() % 14)
                    .map(|_| (rng.next() % 2) as u32)
                    .collect();
                let most = tokens.len() + (rng.next() % 5) as usize;
                let before = pages.available();
                let Some((lease, there)) = pages.take(&tokens, most) else {
                    assert!(
                        pages.needed(most) > before || before < count,
                        "refused with all free"
                    );
                    assert_eq!(pages.available(), before);
                    continue;
                };
                assert!(there < tokens.len() && there % SLOTS == 0);
                assert!(lease.pages().len() * SLOTS >= most);
                for at in 0..there {
                    let slot = (lease.pages()[at / SLOTS], at % SLOTS);
                    assert_eq!(content[&slot], tokens[..=at], "a page of other tokens");
                }
                shared_at_all += there;
                running.push(Running {
                    lease,
                    tokens,
                    written: there,
                });
            } else if let Some(at) =
                (!running.is_empty()).then(|| rng.next() as usize % running.len())
            {
                if choice == 1 {
                    let one = &mut running[at];
                    let end = (one.written + 1 + (rng.next() % 6) as usize).min(one.tokens.len());
                    for position in one.written..end {
                        let slot = (one.lease.pages()[position / SLOTS], position % SLOTS);
                        content.insert(slot, one.tokens[..=position].to_vec());
                    }
                    one.written = end;
                    pages.written(&mut one.lease, &one.tokens[..end]);
                } else {
                    pages.give_back(running.swap_remove(at).lease);
                }
            }
            for one in &running {
                for at in 0..one.written {
                    let slot = (one.lease.pages()[at / SLOTS], at % SLOTS);
                    assert_eq!(content[&slot], one.tokens[..=at], "overwritten by another");
                }
            }
        }
        running.drain(..).for_each(|r| pages.give_back(r.lease));
        assert_eq!(pages.available(), count, "pages are lost");
        pages.forget();
        assert_eq!((pages.available(), pages.kept()), (count, 0));
    }
    assert!(shared_at_all > 0, "nothing was ever shared");
}
