//! Connections to servers of blocks, one an address, shared by all fetches of a process.

use hearth_core::messages::worker::Address;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tonic::transport::{Channel, Endpoint};

/// Connections kept: more machines than that are not read from at once; the one not used for longest is closed.
const KEPT: usize = 1024;

/// A host that does not answer within this is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection with requests under way whose peer does not answer a ping is broken.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes a server may send ahead: enough for a fast network's round trip. They belong to blocks that were asked for, and
/// so to what may be in flight.
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// Bytes in one HTTP/2 frame: one for most chunks. The usual 16 KiB cost a third more processor time on both sides.
const FRAME: u32 = 256 * 1024;

/// The connections.
#[derive(Debug, Default)]
pub(super) struct Channels(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    uses: u64,
    /// With the number of its last use.
    by_address: BTreeMap<Address, (u64, Channel)>,
}

impl Channels {
    /// The connection to an address. It is opened with the first request, and again after it broke.
    pub(super) fn get(&self, address: &Address) -> Result<Channel, tonic::transport::Error> {
        // The table is whole after each statement, so a panic elsewhere has not hurt it.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let now = kept.uses;
        if let Some((used, channel)) = kept.by_address.get_mut(address) {
            *used = now;
            return Ok(channel.clone());
        }
        let channel = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME)
            .connect_lazy();
        if kept.by_address.len() >= KEPT {
            let oldest = kept.by_address.iter().min_by_key(|(_, (used, _))| *used).map(|(a, _)| a.clone());
            oldest.map(|address| kept.by_address.remove(&address));
        }
        kept.by_address.insert(address.clone(), (now, channel.clone()));
        Ok(channel)
    }
}
