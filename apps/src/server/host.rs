//! Answers clients that want to stream: checks what they ask for and announces it to the receiver.

use std::net::IpAddr;
use std::sync::Arc;

use framewire_process::address::AnnouncedAddress;
use framewire_signal::message::{
    Grant, OpenRequest, Opened, PROTOCOL, Refused, ShareOffer, WatchAnswer, WatchRequest, reason,
};
use framewire_signal::{Asker, StreamHost};
use framewire_sink::Recording;
use framewire_transport::{AnnounceError, Announcement, Delivery, Receiver};

use super::announced::Announced;
use super::flowing::Flowing;
use super::keys::StreamKeys;
use super::links::Links;
use super::watching::Watches;

/// Opens streams of one receiver.
pub(super) struct ServerHost {
    pub(super) receiver: Arc<Receiver>,
    /// What was said of the streams.
    pub(super) announced: Arc<Announced>,
    /// Which of them flow.
    pub(super) flowing: Arc<Flowing>,
    /// What their frames are encrypted under; none where they are not.
    pub(super) keys: Option<Arc<StreamKeys>>,
    /// Which links they take.
    pub(super) links: Arc<Links>,
    /// Who watches them.
    pub(super) watches: Arc<Watches>,
    /// Where they go.
    pub(super) recording: Arc<Recording>,
    /// The only mode allowed, if the operator chose one.
    pub(super) delivery: Option<Delivery>,
    /// Where clients are told to send, if not where the receiver is.
    pub(super) announce_udp: Option<AnnouncedAddress>,
}

impl ServerHost {
    /// Opens a stream that has been granted this of its link.
    fn open_with(&self, request: &OpenRequest, grant: Option<Grant>) -> Result<Opened, Refused> {
        if request.protocol != PROTOCOL {
            let message = format!("protocol {} is not {PROTOCOL}; use the same release at both ends", request.protocol);
            return Err(Refused::new("protocol", message));
        }
        let format = request.format()?;
        let asked = request.delivery;
        if let Some(allowed) = self.delivery.filter(|allowed| *allowed != asked) {
            let (asked, allowed) = (asked.name(), allowed.name());
            let message = format!("this server takes no '{asked}' streams; use --delivery {allowed}");
            return Err(Refused::new("delivery", message));
        }
        if let Some(reason) = self.recording.refusal(&format) {
            return Err(Refused::new("sink", reason));
        }
        let metadata_max = request.metadata_bytes_max.and_then(|bytes| usize::try_from(bytes).ok());
        let key = self.keys.as_ref().map(|keys| {
            keys.of_opening(request.stream, |stream| self.flowing.contains(stream)).map_err(|error| {
                tracing::error!("no key for a stream: {error}");
                Refused::new(reason::INTERNAL, "the server has no random numbers for a key just now; try again")
            })
        });
        let key = key.transpose()?;
        let announced = Announcement::new(format).delivery(asked).metadata_max(metadata_max).key(key.clone());
        let invitation = self.receiver.announce(request.stream, announced).map_err(|error| match error {
            AnnounceError::StreamMemory { .. } | AnnounceError::Memory { .. } => {
                Refused::new("memory", error.to_string())
            }
            AnnounceError::Unprotected { .. } | AnnounceError::NoKey | AnnounceError::KeyUnused => {
                Refused::new("protection", error.to_string())
            }
            _ => Refused::new(
                reason::TOO_MANY,
                "as many streams are announced as this server allows; close one and try again",
            ),
        })?;
        // For a client on this machine, where streams are shared there.
        let share = invitation.as_ref().and_then(ShareOffer::new);
        // Frames come once the client has its answer.
        self.announced.note(request, |stream| self.flowing.contains(stream));
        if let Some(AnnouncedAddress { host, port }) = &self.announce_udp {
            return Ok(Opened::new(request.stream, *port).udp_host(host.clone()).share(share).key(key).grant(grant));
        }
        let udp = self.receiver.local_addr();
        // An address that stands for all of them is no place to send to: the client uses the one it reached us at.
        let udp_host = (!udp.ip().is_unspecified()).then(|| match udp.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        });
        Ok(Opened::new(request.stream, udp.port()).udp_host(udp_host).share(share).key(key).grant(grant))
    }
}

impl StreamHost for ServerHost {
    fn open(&self, request: &OpenRequest) -> Result<Opened, Refused> {
        self.open_with(request, None)
    }

    fn open_for(&self, asker: &Asker, request: &OpenRequest) -> Result<Opened, Refused> {
        let seat = self.links.open(asker.ip, request)?;
        match self.open_with(request, seat.grant) {
            Ok(opened) => Ok(opened),
            Err(refused) => {
                self.links.give_back(seat, |stream| self.flowing.contains(stream));
                Err(refused)
            }
        }
    }

    fn close(&self, stream: u32) {
        self.links.close(stream);
        self.announced.leave(stream);
        if let Some(keys) = &self.keys {
            keys.forget(stream);
        }
        self.receiver.withdraw(stream);
    }

    fn client_gone(&self, streams: &[u32]) {
        // Frames may still flow. A client that comes back announces its streams again.
        for stream in streams {
            self.receiver.retract(*stream);
            self.announced.leave(*stream);
            self.links.leave(*stream, |stream| self.flowing.contains(stream));
        }
    }

    fn is_flowing(&self, stream: u32) -> bool {
        self.flowing.contains(stream)
    }

    fn make_room(&self, left: &[u32]) -> Option<u32> {
        self.receiver.withdraw_silent(left).inspect(|stream| {
            self.links.close(*stream);
            self.announced.leave(*stream);
        })
    }

    fn watch(&self, asker: &Asker, request: &WatchRequest) -> Result<WatchAnswer, Refused> {
        self.watches.watch(asker, request)
    }

    fn unwatch(&self, stream: u32) {
        self.watches.unwatch(stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewire_budget::Card;
    use framewire_process::stop::Stop;
    use framewire_signal::message::Role;
    use framewire_sink::{Asked, Roll};
    use framewire_transport::{Admission, FrameFormat, PixelFormat, Protection, ReceiverConfig, Relay, RelayConfig};

    use crate::server::voice::Voice;
    use crate::server::watching::{Alone, UpstreamPlace};

    fn host(udp: &str, delivery: Option<Delivery>) -> ServerHost {
        host_with(udp, delivery, &["null"])
    }

    fn host_with(udp: &str, delivery: Option<Delivery>, sinks: &[&str]) -> ServerHost {
        let config = ReceiverConfig::new().admission(Admission::Announced).protection(Protection::Off);
        let receiver = Arc::new(Receiver::bind(udp.parse().unwrap(), config.clone()).unwrap());
        let links = Arc::new(Links::new(Vec::new(), Voice::default()));
        let relay = Relay::start(RelayConfig::new()).unwrap();
        let upstream = UpstreamPlace { bind: receiver.local_addr(), config };
        let watches = Watches::new(relay, links.clone(), Voice::default(), Arc::new(Alone), upstream, false);
        let asked = Asked {
            program: "framewire-server",
            sinks: sinks.iter().map(|sink| sink.parse().unwrap()).collect(),
            roll: Roll::default(),
            slow: None,
            stops_at_failure: false,
            frames_max: None,
        };
        let recording = Recording::new(asked, &Stop::new());
        ServerHost {
            receiver,
            announced: Arc::default(),
            links,
            watches: Arc::new(watches),
            flowing: Arc::default(),
            keys: None,
            recording,
            delivery,
            announce_udp: None,
        }
    }

    fn request(stream: u32) -> OpenRequest {
        OpenRequest::new(stream, &FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap(), Delivery::Every)
    }

    #[test]
    fn clients_that_come_and_go_never_use_the_announcements_up() {
        let host = host("127.0.0.1:0", None);
        for stream in 0..1000 {
            host.open(&request(stream)).unwrap();
            if stream % 2 == 0 { host.close(stream) } else { host.client_gone(&[stream]) }
        }
    }

    #[test]
    fn a_stream_that_flows_and_is_refused_anew_gives_its_place_on_the_link_up_when_its_frames_stop() {
        let card = Card { name: "lo".into(), bits_per_second: None, mtu: 65_536 };
        let (kept, _) = framewire_budget::links(&["lo=100M".parse().unwrap()], &[card]).unwrap();
        let links = Arc::new(Links::new(kept, Voice::default()));
        let host = ServerHost { links: links.clone(), ..host("127.0.0.1:0", Some(Delivery::Every)) };
        let asker = Asker::new("127.0.0.1:9".parse().unwrap(), Role::Stream, false);
        let grants = || links.all_shown()[0].grants;
        let opening = request(7).frames_per_second(10.0);
        host.open_for(&asker, &opening).unwrap();
        let flows = host.flowing.begin(7);
        host.client_gone(&[7]);
        assert_eq!(grants(), 1, "its frames may still come");
        // Whether the link has no room for it, or something else is wrong with it.
        let mut other = opening.clone();
        other.delivery = Delivery::Latest;
        for refused in [opening.frames_per_second(1e9), other] {
            host.open_for(&asker, &refused).unwrap_err();
            assert_eq!(grants(), 1);
        }
        drop(flows);
        links.fall_silent(7);
        assert_eq!(grants(), 0);
    }

    #[test]
    fn announcements_of_clients_that_stay_are_bounded() {
        let host = host("127.0.0.1:0", None);
        let refused = (0..1000).find_map(|stream| host.open(&request(stream)).err());
        assert_eq!(refused.unwrap().reason, reason::TOO_MANY);
    }

    #[test]
    fn a_stream_that_no_sink_can_hold_is_refused_with_the_remedy_and_one_that_some_sink_holds_is_taken() {
        let bgr = OpenRequest::new(1, &FrameFormat::new(PixelFormat::Bgr24, 64, 48).unwrap(), Delivery::Every);
        let depth = OpenRequest::new(1, &FrameFormat::new(PixelFormat::Depth32f, 64, 48).unwrap(), Delivery::Every);
        let answer = |sinks: &[&str], request: &OpenRequest| host_with("127.0.0.1:0", None, sinks).open(request);
        let refused = answer(&["a.y4m", "b.y4m"], &bgr).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "no --sink of framewire-server can take the stream: Y4M cannot hold 64x48 bgr24 unchanged; use FILE.nut, -:nut, FILE.raw or \
             FILE.mcap (sink)"
        );
        let refused = answer(&["a.y4m", "b.nut"], &depth).unwrap_err().message;
        assert!(
            refused.contains("Y4M cannot") && refused.contains("NUT cannot") && refused.contains("FILE.raw"),
            "{refused}"
        );
        for sinks in [&["null"][..], &["-"], &["-:raw"], &["a.y4m", "b.nut"], &["a.y4m", "null"]] {
            answer(sinks, &bgr).unwrap();
        }
    }

    #[test]
    fn a_client_is_told_the_address_that_frames_go_to_unless_it_stands_for_all() {
        assert_eq!(host("127.0.0.1:0", None).open(&request(1)).unwrap().udp_host.as_deref(), Some("127.0.0.1"));
        assert_eq!(host("0.0.0.0:0", None).open(&request(1)).unwrap().udp_host, None);
        let published = ServerHost { announce_udp: Some("18301".parse().unwrap()), ..host("127.0.0.1:0", None) };
        let opened = published.open(&request(1)).unwrap();
        assert_eq!((opened.udp_host, opened.udp_port), (None, 18_301), "the outer port of the host it was reached at");
    }

    #[test]
    fn a_protected_servers_streams_each_have_a_key_that_their_clients_are_given_and_nobody_sees() {
        let receiver = ReceiverConfig::new().admission(Admission::Announced).protection(Protection::On);
        let receiver = Arc::new(Receiver::bind("127.0.0.1:0".parse().unwrap(), receiver).unwrap());
        let host = ServerHost { receiver, keys: Some(Arc::default()), ..host("127.0.0.1:0", None) };
        let [first, second] = [1, 2].map(|stream| host.open(&request(stream)).unwrap());
        assert_ne!(first.key.clone().unwrap(), second.key.unwrap());
        let text = first.key.clone().unwrap().to_text();
        assert!(!format!("{first:?}").contains(&text) && serde_json::to_string(&first).unwrap().contains(&text));
        let without = ServerHost { keys: None, ..host };
        assert_eq!(without.open(&request(3)).unwrap_err().reason, "protection");
    }

    #[test]
    fn a_streams_name_is_known_once_it_may_be_opened() {
        let host = host("127.0.0.1:0", None);
        host.open(&request(5).name("front")).unwrap();
        assert_eq!(host.announced.of(5).name(1), "front");
    }

    #[test]
    fn what_cannot_be_opened_is_refused_with_the_remedy() {
        let host = host("127.0.0.1:0", Some(Delivery::Latest));
        let says = |change: fn(&mut OpenRequest)| {
            let mut request = request(1);
            change(&mut request);
            host.open(&request).unwrap_err().message
        };
        assert!(says(|_| {}).contains("--delivery latest"));
        assert!(says(|request| request.protocol = 9).contains("protocol 9"));
        assert!(says(|request| request.pixel = "rbg".into()).contains("'rbg'"));
        assert!(says(|request| request.stride = 3).contains("stride of 3"));
    }
}
