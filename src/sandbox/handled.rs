//! What becomes of a request: the answer, and how much of it a fault lets through.

use super::faults::Fault;
use super::http::{Problem, RawResponse};

/// What became of one request, and what the client is to hear of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled {
    /// The answer; none when the connection is dropped without one.
    pub response: Option<RawResponse>,
    /// How long the answer is held back, in milliseconds.
    pub delay_ms: u64,
    /// How fast the answer's body comes, in bytes a second; none: as fast as it goes.
    pub bytes_per_second: Option<u32>,
    /// The connection ends after so many bytes of the answer's body.
    pub cut_after_bytes: Option<usize>,
    /// The connection ends by a TCP reset.
    pub is_reset: bool,
    /// Nothing is applied yet: [`apply_late`](super::StoreCore::apply_late) is to be called with the request after so many
    /// milliseconds.
    pub apply_after_ms: Option<u64>,
}

/// What the client hears of an answer to which a fault happens.
pub(super) fn spoil(response: RawResponse, fault: Option<Fault>) -> Handled {
    let mut handled = Handled {
        response: None,
        delay_ms: 0,
        bytes_per_second: None,
        cut_after_bytes: None,
        is_reset: false,
        apply_after_ms: None,
    };
    match fault {
        Some(Fault::LostRequest | Fault::LostAnswer) => return handled,
        Some(Fault::Reset) => handled.is_reset = true,
        Some(Fault::DelayedApply { ms }) => handled.apply_after_ms = Some(ms),
        Some(Fault::DelayedAnswer { ms }) => (handled.response, handled.delay_ms) = (Some(response), ms),
        Some(Fault::Slow { bytes_per_second }) => {
            handled.bytes_per_second = Some(bytes_per_second.max(1));
            handled.response = Some(response);
        }
        Some(Fault::Truncated) => {
            handled.cut_after_bytes = Some(response.body.len() / 2);
            handled.response = Some(response);
        }
        Some(Fault::EmptyBody) => handled.response = Some(RawResponse { body: Vec::new(), ..response }),
        Some(Fault::AppliedThenStatus(status)) if response.status < 400 => {
            handled.response = Some(replaced(response, Problem::plain(status, "made to fail").response()));
        }
        _ => handled.response = Some(response),
    }
    handled
}

/// Another status and body under the same headers.
fn replaced(response: RawResponse, by: RawResponse) -> RawResponse {
    RawResponse { headers: response.headers, ..by }
}

/// The status that the log has: the one the client was meant to hear.
pub(super) fn told_status(response: &RawResponse, fault: Option<Fault>) -> u16 {
    match fault {
        Some(Fault::AppliedThenStatus(status)) if response.status < 400 => status,
        _ => response.status,
    }
}
