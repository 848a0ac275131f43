//! The slot state under every interleaving that loom can find: the source file itself, over loom's primitives.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "a private file of the crate, compiled on its own")]

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
    pub(crate) use loom::sync::{Condvar, Mutex};
}
#[path = "../src/frame/slots.rs"]
mod slots;
#[path = "../src/unpoisoned.rs"]
mod unpoisoned;

use loom::sync::Arc;
use loom::thread;
use slots::SlotTable;

/// A slot's memory: loom reports two accesses that are not ordered.
type Memory = loom::cell::UnsafeCell<u32>;

fn write(memory: &Memory, value: u32) {
    // SAFETY: loom checks at run time that no other access is concurrent, which is what this test is for.
    memory.with_mut(|cell| unsafe { *cell = value });
}

fn read(memory: &Memory) -> u32 {
    // SAFETY: as in `write`.
    memory.with(|cell| unsafe { *cell })
}

struct Shared {
    table: SlotTable,
    memory: Vec<Memory>,
}

// SAFETY: loom itself checks the accesses to the cells.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

fn shared(slots: usize) -> Arc<Shared> {
    Arc::new(Shared { table: SlotTable::new(slots), memory: (0..slots).map(|_| Memory::new(0)).collect() })
}

#[test]
fn a_slot_never_has_two_writers_nor_a_writer_beside_a_reader() {
    loom::model(|| {
        let shared = shared(1);
        let writer = |shared: Arc<Shared>, value| {
            move || {
                if let Some(slot) = shared.table.try_acquire() {
                    write(&shared.memory[slot as usize], value);
                    assert!(shared.table.is_exclusive(slot));
                    assert_eq!(read(&shared.memory[slot as usize]), value);
                    shared.table.release(slot);
                }
            }
        };
        let first = thread::spawn(writer(shared.clone(), 1));
        let second = thread::spawn(writer(shared.clone(), 2));
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!(shared.table.free_count(), 1);
    });
}

#[test]
fn a_shared_frame_is_read_by_all_holders_before_the_slot_is_written_again() {
    loom::model(|| {
        let shared = shared(1);
        let slot = shared.table.try_acquire().unwrap();
        write(&shared.memory[slot as usize], 7);
        shared.table.retain(slot);
        let reader = |shared: Arc<Shared>| {
            move || {
                assert_eq!(read(&shared.memory[slot as usize]), 7);
                shared.table.release(slot);
            }
        };
        let first = thread::spawn(reader(shared.clone()));
        let second = thread::spawn(reader(shared.clone()));
        if let Some(again) = shared.table.try_acquire() {
            write(&shared.memory[again as usize], 8);
            shared.table.release(again);
        }
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!(shared.table.free_count(), 1);
    });
}

#[test]
fn exactly_one_of_two_holders_frees_the_slot() {
    loom::model(|| {
        let shared = shared(2);
        let slot = shared.table.try_acquire().unwrap();
        shared.table.retain(slot);
        let other = shared.clone();
        let thread = thread::spawn(move || other.table.release(slot));
        let freed_here = shared.table.release(slot);
        assert_ne!(freed_here, thread.join().unwrap());
        assert_eq!(shared.table.free_count(), 2);
    });
}

#[test]
fn a_thread_that_waits_for_a_slot_never_misses_its_release() {
    loom::model(|| {
        let shared = shared(1);
        let slot = shared.table.try_acquire().unwrap();
        let waiting = shared.clone();
        let waiter = thread::spawn(move || {
            // Waits without a timeout: a missed wake-up is a deadlock, which loom reports.
            let slot = waiting
                .table
                .acquire_while(|lock| lock.lock().unwrap(), |freed, guard| Some(freed.wait(guard).unwrap()))
                .unwrap();
            waiting.table.release(slot);
        });
        shared.table.release(slot);
        waiter.join().unwrap();
        assert_eq!(shared.table.free_count(), 1);
    });
}
