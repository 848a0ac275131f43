//! What readers can make of the memory of a stream.

use rustix::fs::fstat;

use super::*;

#[test]
fn a_reader_that_looks_at_every_slot_has_no_more_provided_than_the_pool_has_and_pays_until_it_is_gone() {
    let host = Host::new(Delivery::Every, |config| config.reader_slots(24));
    let format = FrameFormat::new(PixelFormat::Gray8, 64, 64).unwrap();
    let (slots, base) = slots_with_readers(4, Some(host.hub.as_ref().unwrap().config()));
    let pool = PoolInMaking::new(slots, format.frame_bytes()).unwrap().with_spares(base).finish().unwrap();
    let pool = pool.with_format(format, 0);
    let paid = Arc::new(AtomicUsize::new(0));
    struct Payment(Arc<AtomicUsize>, usize);
    impl Drop for Payment {
        fn drop(&mut self) {
            self.0.fetch_sub(self.1, Ordering::AcqRel);
        }
    }
    let charge = {
        let paid = paid.clone();
        move |bytes: usize| -> Result<Box<dyn std::any::Any + Send + Sync>, MemoryLeft> {
            paid.fetch_add(bytes, Ordering::AcqRel);
            Ok(Box::new(Payment(paid.clone(), bytes)))
        }
    };
    let to_share = StreamToShare { charge: Arc::new(charge), ..to_share(&pool, base, Delivery::Every) };
    let stream = host.hub.as_ref().unwrap().share(Some("rear"), to_share).unwrap();
    let bytes = pool.slot_count() * pool.slot_stride();
    let file = pool.descriptor().unwrap().try_clone_to_owned().unwrap();
    let provided = || fstat(&file).unwrap().st_blocks as usize * 512;
    let before = provided();
    let reader = TestReader::subscribe(host.socket(), "rear", LATEST).unwrap();
    assert_eq!(paid.load(Ordering::Acquire), 3 * pool.slot_stride());
    (0..slots).for_each(|slot| reader.pool.populate_read(slot, usize::MAX));
    // Pages may be larger than a slot.
    let page = 2 << 20;
    assert!(provided() <= bytes.next_multiple_of(page), "{before}, then {} of {bytes}", provided());
    assert!(provided() - before <= (24 * pool.slot_stride()).next_multiple_of(page));
    // The stream is over and its pool nobody's here any more: its memory is the reader's, and is paid for as long as that is connected.
    crate::frame::Outlet::end(&*stream);
    drop((stream, pool));
    host.until("the end of it", |_| reader.end().is_some());
    assert_eq!(paid.load(Ordering::Acquire), 3 * reader.pool.slot_stride());
    drop(reader);
    host.until("its payment", |_| paid.load(Ordering::Acquire) == 0);
}
