// SPDX-License-Identifier: GPL-2.0

//! Requests that pass one at a time, in the order in which they came.
//!
//! No task waits here: a request whose turn it is not is set aside, and the one that leaves hands
//! its turn on.

use super::{
    operations::Operations,
    request::Request,
    request_list::RequestList, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::SpinLock, //
};

/// Who has the turn.
enum Turn<T: Operations> {
    /// Nobody.
    Free,
    /// Somebody, and these wait for it.
    Taken(RequestList<T>),
}

/// Lets one request at a time pass.
///
/// Process context. Its lock is held for a few instructions, and no other is taken inside it.
#[pin_data]
pub(crate) struct Turnstile<T: Operations> {
    #[pin]
    turn: SpinLock<Turn<T>>,
}

impl<T: Operations> Turnstile<T> {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            turn <- new_spinlock!(Turn::Free, "Turnstile::turn"),
        })
    }

    /// Takes the turn for `rq` at the turnstile of its device that `select` names.
    ///
    /// Returns the request if it has the turn, which it must give up by [`Turnstile::leave`].
    /// Otherwise the request is set aside until [`Turnstile::leave`] returns it.
    pub(crate) fn enter(
        rq: Request<T>,
        select: impl FnOnce(&T::Device) -> &Turnstile<T>,
    ) -> Option<Request<T>> {
        let this: *const Self = select(rq.device());
        // SAFETY: The device outlives its requests. If `rq` is set aside below, another task may
        // end it only after it took the request out, for which it needs the lock: so the device,
        // and the lock in it, live until the guard has released the lock. Unlocking does not touch
        // a spinlock after the store that lets others in, and nothing here does.
        let this = unsafe { &*this };

        match &mut *this.turn.lock() {
            turn @ Turn::Free => {
                *turn = Turn::Taken(RequestList::new());
                Some(rq)
            }
            Turn::Taken(waiting) => {
                waiting.push(rq);
                None
            }
        }
    }

    /// Takes the turn for something else than a request, if nobody has it. Whoever gets `true` must
    /// give it up by [`Turnstile::leave`].
    pub(crate) fn try_take(&self) -> bool {
        let mut turn = self.turn.lock();

        match &*turn {
            Turn::Taken(_) => false,
            Turn::Free => {
                *turn = Turn::Taken(RequestList::new());
                true
            }
        }
    }

    /// Whether others wait for the turn.
    pub(crate) fn anyone_waits(&self) -> bool {
        match &*self.turn.lock() {
            Turn::Free => false,
            Turn::Taken(waiting) => !waiting.is_empty(),
        }
    }

    /// Takes those that wait longest out of the line, up to the first that does not fit. The caller
    /// must have the turn, and act for them, too.
    pub(crate) fn take_waiting(&self, fits: impl FnMut(&Request<T>) -> bool) -> RequestList<T> {
        match &mut *self.turn.lock() {
            Turn::Free => RequestList::new(),
            Turn::Taken(waiting) => waiting.pop_while(fits),
        }
    }

    /// Puts requests back that [`Turnstile::take_waiting`] returned, before all others. The caller
    /// must have the turn.
    pub(crate) fn give_back(&self, requests: RequestList<T>) {
        match &mut *self.turn.lock() {
            // The caller does not have the turn. Dropping the requests ends them with an error.
            Turn::Free => {}
            Turn::Taken(waiting) => waiting.prepend(requests),
        }
    }

    /// Gives the turn up, which the caller must have, and hands it to the request that waits
    /// longest, if any: it is returned.
    #[must_use = "the request returned has the turn and must go on"]
    pub(crate) fn leave(&self) -> Option<Request<T>> {
        let mut turn = self.turn.lock();
        let next = match &mut *turn {
            Turn::Free => None,
            Turn::Taken(waiting) => waiting.pop(),
        };

        if next.is_none() {
            *turn = Turn::Free;
        }
        next
    }
}
