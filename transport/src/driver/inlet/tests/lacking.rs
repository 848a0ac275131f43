//! A receiver that has not what a stream needs.

use framewire_testing::wait_for;

use super::hostile::Granted;
use super::*;

#[test]
fn a_stream_that_there_is_no_memory_for_costs_its_user_nothing() {
    let needed = {
        let host = Host::new("needed", ReceiverConfig::new());
        let _granted = Granted::new(&host, 1, Delivery::Latest).unwrap();
        host.receiver.memory_bytes()
    };
    let host = Host::new("no-memory", ReceiverConfig::new().memory_bytes_max(needed + needed / 2));
    let has_all = Granted::new(&host, 1, Delivery::Latest).unwrap();
    // More than may come to nothing.
    for stream in 2..100 {
        let (refusal, _) = Granted::new(&host, stream, Delivery::Latest).err().unwrap();
        assert_eq!(refusal, Refusal::Memory, "stream {stream}");
    }
    drop(has_all);
    let _granted = wait_for("its memory comes back", || {
        let granted = Granted::new(&host, 100, Delivery::Latest);
        granted.map_err(|(refusal, _)| {
            assert_eq!(refusal, Refusal::Memory, "until what was there is put away");
            "it is not put away"
        })
    });
}
