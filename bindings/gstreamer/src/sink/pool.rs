//! The pool that the sink proposes: each of its buffers is a slot, so that upstream writes into what is sent.

use gst::glib;
use gst::prelude::*;

use super::outlet::Outlet;

glib::wrapper! {
    /// Buffers over the slots of one stream. None is kept: one that is sent belongs to the stream, one that comes back unsent gives its slot back.
    pub(super) struct SlotPool(ObjectSubclass<imp::SlotPool>) @extends gst::BufferPool, gst::Object;
}

impl SlotPool {
    /// A pool of a stream's slots, for buffers of the stream's caps.
    pub(super) fn of(outlet: std::sync::Arc<Outlet>, caps: &gst::Caps) -> Result<Self, glib::BoolError> {
        let pool: Self = glib::Object::new();
        let bytes = u32::try_from(outlet.layout.bytes).map_err(|_| glib::bool_error!("frames beyond 4 GiB"))?;
        glib::subclass::types::ObjectSubclassIsExt::imp(&pool).serve(outlet);
        let mut config = pool.config();
        config.set_params(Some(caps), bytes, 0, 0);
        config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
        pool.set_config(config)?;
        Ok(pool)
    }
}

mod imp {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex, PoisonError};

    use gst::glib;
    use gst::subclass::prelude::*;

    use super::super::outlet::{Granted, Outlet};
    use crate::layout::Layout;
    use crate::{format, memory};

    #[derive(Default)]
    pub(in super::super) struct SlotPool {
        outlet: Mutex<Option<Arc<Outlet>>>,
        flushes: AtomicBool,
    }

    impl SlotPool {
        pub(super) fn serve(&self, outlet: Arc<Outlet>) {
            *self.outlet.lock().unwrap_or_else(PoisonError::into_inner) = Some(outlet);
        }

        fn outlet(&self) -> Option<Arc<Outlet>> {
            self.outlet.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }

        /// A buffer of ordinary memory, as large as a frame: the sink copies it once a slot is free.
        fn ordinary(outlet: &Outlet) -> Result<gst::Buffer, gst::FlowError> {
            gst::Buffer::with_size(outlet.layout.bytes).map_err(|_| gst::FlowError::Error)
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for SlotPool {
        const NAME: &'static str = "GstFramewireSlotPool";
        type Type = super::SlotPool;
        type ParentType = gst::BufferPool;
    }

    impl ObjectImpl for SlotPool {}
    impl GstObjectImpl for SlotPool {}

    impl BufferPoolImpl for SlotPool {
        fn options() -> &'static [&'static str] {
            // The one that GStreamer names so in C alone is a text that does not change.
            &["GstBufferPoolOptionVideoMeta"]
        }

        fn set_config(&self, config: &mut gst::BufferPoolConfigRef) -> bool {
            let (Some(outlet), Some((Some(caps), bytes, least, most))) = (self.outlet(), config.params()) else {
                return false;
            };
            let Ok(picture) = format::read(&caps) else { return false };
            let needed = outlet.layout.bytes;
            if picture.format != outlet.picture.format || bytes as usize > needed {
                return false;
            }
            // Who does not read what a buffer says of its planes writes them where they usually are.
            let reads_meta = config.has_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
            if outlet.layout != Layout::usual(&picture) && !(reads_meta && picture.info.is_some()) {
                return false;
            }
            // A frame is below 4 GiB.
            config.set_params(Some(&caps), u32::try_from(needed).unwrap_or(u32::MAX), least, most);
            self.parent_set_config(config)
        }

        /// Nothing is made before it is asked for: a slot that lies here would be one less on its way.
        fn start(&self) -> bool {
            true
        }

        fn acquire_buffer(
            &self,
            _params: Option<&gst::BufferPoolAcquireParams>,
        ) -> Result<gst::Buffer, gst::FlowError> {
            let outlet = self.outlet().ok_or(gst::FlowError::Flushing)?;
            let mut buffer = match outlet.grant(|| !self.flushes.load(Ordering::Acquire)) {
                Ok(Granted::Slot(mut slot)) => {
                    // A slot is as long as its longest frame.
                    slot.set_len(outlet.layout.bytes).map_err(|_| gst::FlowError::Error)?;
                    let mut buffer = gst::Buffer::new();
                    buffer.make_mut().append_memory(memory::writable(slot, outlet.id));
                    buffer
                }
                Ok(Granted::Flushing) => return Err(gst::FlowError::Flushing),
                // What is wrong is told by who sends it.
                Ok(Granted::None | Granted::Over) | Err(_) => Self::ordinary(&outlet)?,
            };
            if let Some(info) = &outlet.picture.info {
                outlet.layout.tell(buffer.make_mut(), info);
            }
            Ok(buffer)
        }

        fn release_buffer(&self, buffer: gst::Buffer) {
            drop(buffer);
        }

        fn flush_start(&self) {
            self.flushes.store(true, Ordering::Release);
        }

        fn flush_stop(&self) {
            self.flushes.store(false, Ordering::Release);
        }
    }
}
