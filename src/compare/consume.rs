//! One consumer's work: take a record, finish it, and settle a lot at a time, or what there is when nothing comes.

use std::time::Duration;

use super::clock::now_ns;
use super::fault::Fault;
use super::models::Receiver;
use super::payload::Stamp;

/// How long a consumer waits before it looks whether the run is over.
const WAIT: Duration = Duration::from_millis(100);

/// Where a consumer's work goes, and when it ends.
pub trait Desk {
    /// A payload came in at that time: `true` to finish it, `false` to stop with it unfinished.
    fn accept(&mut self, stamp: Option<Stamp>, received_at_ns: u64) -> bool;

    /// Nothing is wanted any more.
    fn over(&self) -> bool;
}

/// Works until the desk says stop. Returns the receiver, with whatever is unsettled.
pub async fn consume<R: Receiver>(mut receiver: R, lot: usize, desk: &mut impl Desk) -> Result<R, Fault> {
    let mut unsettled = 0;
    while !desk.over() {
        match receiver.next(WAIT).await? {
            Some(payload) => {
                if !desk.accept(Stamp::decode(&payload), now_ns()) {
                    return Ok(receiver);
                }
                unsettled += 1;
                if unsettled >= lot {
                    receiver.settle().await?;
                    unsettled = 0;
                }
            }
            None if unsettled > 0 => {
                receiver.settle().await?;
                unsettled = 0;
            }
            None => {}
        }
    }
    receiver.settle().await?;
    Ok(receiver)
}
