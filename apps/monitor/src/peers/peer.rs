//! The connection to one node: as long as somebody looks, and somewhat longer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use framewire_signal::directory::{ClusterKey, NodeId};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant as Clock, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::call::{Connection, call};
use super::wanted::{Request, Wanted};
use super::{Asked, Figures, PeerAddress};
use crate::pictures::read_answer;

/// How often it is looked whether anybody wants anything still.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A node that says nothing for so long, though it was pinged, is gone.
const SILENCE_MAX: Duration = Duration::from_secs(10);
const PING_EVERY: Duration = Duration::from_secs(4);
/// What is said to a node has a hundred bytes: one that takes none for so long has stopped.
const SEND_MAX: Duration = Duration::from_secs(3);
/// For so long nobody is asked again after a connection that came to nothing; whoever wants something meanwhile is told at once.
const PAUSE: Duration = Duration::from_secs(2);

/// Which node.
pub(super) struct About {
    pub(super) node: NodeId,
    pub(super) address: PeerAddress,
    pub(super) key: Option<ClusterKey>,
}

/// Answers what is wished for, until nobody wishes for anything any more, or the node does not answer.
pub(super) async fn serve(about: About, mut wishes: mpsc::Receiver<Asked>, figures: Arc<Figures>) {
    let ended = match call(&about.address, about.key.as_ref()).await {
        Ok(connection) => {
            figures.forget_trouble(about.node);
            figures.connected.fetch_add(1, Ordering::Relaxed);
            let ended = converse(connection, &mut wishes, &figures).await;
            figures.connected.fetch_sub(1, Ordering::Relaxed);
            ended
        }
        Err(why) => Err(why),
    };
    let Err(why) = ended else { return };
    figures.fail(about.node, why);
    // A wish that is dropped is answered.
    let pause = sleep(PAUSE);
    tokio::pin!(pause);
    loop {
        tokio::select! {
            wish = wishes.recv() => if wish.is_none() { return },
            () = &mut pause => return,
        }
    }
}

/// Asks for what is wished for. Ends in order once nobody wishes for anything, or the node is elsewhere.
///
/// # Errors
/// The node has gone, and how that showed.
async fn converse(
    mut connection: Connection,
    wishes: &mut mpsc::Receiver<Asked>,
    figures: &Figures,
) -> Result<(), String> {
    let mut wanted = Wanted::default();
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut heard, mut pinged) = (Clock::now(), Clock::now());
    loop {
        let request = tokio::select! {
            wish = wishes.recv() => match wish {
                Some(wish) => wanted.handle_wish(wish, Instant::now()),
                None => return Ok(()),
            },
            message = connection.next() => {
                heard = Clock::now();
                match message {
                    Some(Ok(Message::Binary(bytes))) => {
                        let now = Instant::now();
                        let (tag, picture) = read_answer(bytes, now).ok_or("it sends what is no picture; is it of this release?")?;
                        if let Some(picture) = &picture {
                            figures.pictures.fetch_add(1, Ordering::Relaxed);
                            figures.bytes.fetch_add(picture.jpeg.len() as u64, Ordering::Relaxed);
                        }
                        wanted.handle_picture(tag, picture, now)
                    }
                    Some(Ok(Message::Close(_))) | None => return Err("it closed the connection".to_owned()),
                    Some(Ok(_)) => None,
                    Some(Err(error)) => return Err(format!("the connection broke ({error})")),
                }
            }
            _ = looks.tick() => {
                if wanted.is_idle(Instant::now()) && wishes.is_empty() {
                    // What is wished for between this and the end opens another connection.
                    wishes.close();
                    let _ = timeout(SEND_MAX, connection.close(None)).await;
                    return Ok(());
                }
                if heard.elapsed() > SILENCE_MAX {
                    return Err(format!("it has said nothing for {} s", SILENCE_MAX.as_secs()));
                }
                if pinged.elapsed() >= PING_EVERY {
                    pinged = Clock::now();
                    send(&mut connection, Message::Ping(bytes::Bytes::new())).await?;
                }
                None
            }
        };
        if let Some(request) = request {
            send(&mut connection, text(&request)).await?;
        }
    }
}

async fn send(connection: &mut Connection, message: Message) -> Result<(), String> {
    match timeout(SEND_MAX, connection.send(message)).await {
        Ok(sent) => sent.map_err(|error| format!("the connection broke ({error})")),
        Err(_) => Err(format!("it took nothing for {} s", SEND_MAX.as_secs())),
    }
}

fn text(request: &Request) -> Message {
    Message::text(serde_json::to_string(request).expect("numbers and a short text are always JSON"))
}
