//! What happens beside the view, on threads of its own.

use std::mem;
use std::panic::resume_unwind;
use std::thread::{self, JoinHandle};

/// Work that is under way, under the names that a person knows it by.
#[derive(Debug)]
pub(super) struct Beside<T> {
    under_way: Vec<(String, JoinHandle<T>)>,
}

impl<T> Default for Beside<T> {
    fn default() -> Self {
        Self { under_way: Vec::new() }
    }
}

impl<T: Send + 'static> Beside<T> {
    /// Begins some work.
    pub(super) fn start(&mut self, name: String, work: impl FnOnce() -> T + Send + 'static) {
        self.under_way.push((name, thread::spawn(work)));
    }

    /// What has ended since it was last asked, oldest first. Waits for nothing.
    pub(super) fn ended(&mut self) -> Vec<T> {
        let (ended, under_way) =
            mem::take(&mut self.under_way).into_iter().partition(|(_, work)| work.is_finished());
        self.under_way = under_way;
        let outcome =
            |(_, work): (_, JoinHandle<T>)| work.join().unwrap_or_else(|panic| resume_unwind(panic));
        ended.into_iter().map(outcome).collect()
    }

    /// What is under way, oldest first.
    pub(super) fn names(&self) -> Vec<String> {
        self.under_way.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn nobody_waits_for_what_is_under_way() {
        let mut beside = Beside::default();
        let (release, released) = mpsc::channel::<()>();
        beside.start("slow".into(), move || released.recv().is_ok());
        assert_eq!((beside.ended(), beside.names()), (vec![], vec!["slow".to_owned()]));
        beside.start("quick".into(), || false);
        let first = wait_for(|| beside.ended().pop());
        assert_eq!((first, beside.names()), (false, vec!["slow".to_owned()]));
        release.send(()).unwrap();
        assert!(wait_for(|| beside.ended().pop()));
        assert!(beside.is_idle());
    }

    #[test]
    #[should_panic(expected = "a defect")]
    fn a_panic_beside_the_view_ends_it() {
        let mut beside = Beside::<()>::default();
        beside.start("broken".into(), || panic!("a defect"));
        wait_for(|| beside.ended().pop());
    }

    fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> T {
        loop {
            match ask() {
                Some(found) => return found,
                None => thread::yield_now(),
            }
        }
    }
}
