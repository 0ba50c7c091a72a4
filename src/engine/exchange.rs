//! Reads: a request that is asked again for as long as that may help, and what became of it.

use super::{Result, SyncEngine};
use crate::api::{Remote, Request};
use crate::error::{Error, Failure};
use crate::fleet::Wants;
use crate::flow::{
    Answer, GetVerdict, Misses, Page, Ticket, Trouble, crowd_wait_ms, judge_get, judge_get_by_ids,
};
use crate::resource::CustomerId;

/// So often it is looked whether there are edits, while news waits for its turn.
const LOOKS_FOR_EDITS_MS: u64 = 250;

/// A read that is on its way.
pub(super) struct Asked {
    ticket: Ticket,
    request: Request,
    sent_ms: u64,
}

/// What went wrong with the reads of one purpose since one went well.
#[derive(Debug, Default)]
pub(super) struct Patience {
    misses: Misses,
    limits: Misses,
    /// `200`, and not a byte.
    was_blank: bool,
    /// It is asked no more often, whatever the options say.
    most: Option<u32>,
    /// Where the store says that its quota is used up, it is asked another time.
    pub(super) gives_way: bool,
}

impl Patience {
    /// For a question that is only tried.
    pub(super) fn once() -> Patience {
        Patience::of(1)
    }

    /// For one that is asked so often at most.
    pub(super) fn of(tries: u32) -> Patience {
        Patience { most: Some(tries), ..Patience::default() }
    }
}

/// What became of a read.
pub(super) enum Read<T> {
    /// It was answered, and taken.
    Taken(T),
    /// More than could be taken in: it is to be asked for less.
    TooMuch { why: String, has_begun: bool, first: Option<CustomerId> },
    /// It failed.
    Failed { error: Error, of: FailureOf },
}

/// What a failure may be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureOf {
    /// What was asked for, by an answer of the store itself.
    Question,
    /// The question or the line: the request left, and no answer of the API's came of it.
    Either,
    /// The line, or too many who ask: it says nothing of the question.
    Line,
}

fn failure_of(answer: &std::result::Result<Answer, Trouble>) -> FailureOf {
    match answer {
        Ok(answer) if answer.is_about_the_question() => FailureOf::Question,
        Ok(answer) if answer.status == 429 => FailureOf::Line,
        Err(Trouble::Broken(_) | Trouble::TooMuch { .. }) | Ok(_) => FailureOf::Either,
        // It never left.
        Err(_) => FailureOf::Line,
    }
}

impl<R: Remote> SyncEngine<R> {
    /// Starts a read when the pacer lets it. News that waits for its turn in company goes as edits do once there are some behind it.
    pub(super) fn ask(&mut self, request: Request) -> Result<Asked> {
        let is_news = matches!(request, Request::Page(_)) && self.fleet.is_some();
        let mut wants = if is_news { Wants::News } else { Wants::Edits };
        loop {
            if let Some(failure) = self.refuse_wait() {
                return Err(failure.into());
            }
            if wants == Wants::News && self.has_new_edits()? {
                wants = Wants::Edits;
                self.pacer.asks_anew();
            }
            self.take_turn(wants, || 1);
            let (now_ms, ready_ms) = (self.clock.now_ms(), self.pacer.ready_at_ms(self.clock.now_ms()));
            let looks_ms = if wants == Wants::News { now_ms + LOOKS_FOR_EDITS_MS } else { ready_ms };
            self.sleep_until(ready_ms.min(looks_ms))?;
            if self.fleet.is_none() || ready_ms <= now_ms {
                break;
            }
            self.refuse_when_stopped()?;
        }
        let ticket = self.tickets().take();
        self.start(ticket, request.clone());
        Ok(Asked { ticket, request, sent_ms: self.clock.now_ms() })
    }

    /// Whether news that nobody waits for is for another time: it waits for its turn in company, and edits have come that would wait
    /// behind it.
    pub(super) fn gives_way_to_edits(&mut self) -> Result<bool> {
        while self.fleet.is_some() && self.news.may_wait {
            self.take_turn(Wants::News, || 1);
            let (now_ms, ready_ms) = (self.clock.now_ms(), self.pacer.ready_at_ms(self.clock.now_ms()));
            if ready_ms <= now_ms || self.refuse_wait().is_some() || self.refuse_when_stopped().is_err() {
                break;
            }
            if self.has_new_edits()? {
                self.news.waits = true;
                self.pacer.asks_anew();
                return Ok(true);
            }
            self.sleep_until(ready_ms.min(now_ms + LOOKS_FOR_EDITS_MS))?;
        }
        Ok(false)
    }

    /// Why it is not waited any longer, if it is not; until when the store asks all to wait is told.
    pub(super) fn refuse_wait(&mut self) -> Option<Failure> {
        let now_ms = self.clock.now_ms();
        let failure = self.options.upload.retry.refuse_wait(&self.pacer, now_ms)?;
        if self.pacer.asked_until_ms(now_ms) > now_ms {
            self.note_throttle();
        }
        Some(failure)
    }

    /// Waits for the answer to a read, trying again as long as that may help, and hands it on.
    pub(super) fn answered<T>(
        &mut self,
        mut asked: Asked,
        patience: &mut Patience,
        mut take: impl FnMut(&mut Self, &Page<'_>, &Answer) -> Result<T>,
    ) -> Result<Read<T>> {
        loop {
            let Some((ticket, answer)) = self.next_answer(None)? else {
                self.refuse_when_stopped()?;
                return Err(Failure::Unexpected("a request was never answered".to_owned()).into());
            };
            if ticket != asked.ticket {
                continue;
            }
            let of = failure_of(&answer);
            let verdict = match asked.request {
                Request::ByIds(_) => judge_get_by_ids(asked.request.resource(), &answer),
                _ => judge_get(asked.request.resource(), &answer),
            };
            let failure = match (verdict, &answer) {
                (GetVerdict::Page(page), Ok(answer)) => {
                    *patience = Patience { most: patience.most, ..Patience::default() };
                    return Ok(Read::Taken(take(self, &page, answer)?));
                }
                (GetVerdict::Blank, Ok(answer)) if std::mem::replace(&mut patience.was_blank, true) => {
                    return Ok(Read::Taken(take(self, &Page::nobody(), answer)?));
                }
                (GetVerdict::TooMuch { why, has_begun, first }, _) => {
                    // Something came in time: less of it will.
                    let over =
                        if has_begun { None } else { self.missed(patience, asked.sent_ms, why.clone())? };
                    match over {
                        None => return Ok(Read::TooMuch { why, has_begun, first }),
                        over => over,
                    }
                }
                (GetVerdict::Stop(failure), _) => Some(failure),
                (GetVerdict::Limited, _) if patience.gives_way => {
                    self.news.waits = true;
                    Some(Failure::Unavailable { tries: 1, last: "status 429: too many requests".to_owned() })
                }
                (GetVerdict::Limited, _) => self.limited(&mut patience.limits, asked.sent_ms),
                (GetVerdict::Crowded, _) => {
                    let over = self.limited(&mut patience.limits, asked.sent_ms);
                    let wait_ms = crowd_wait_ms(patience.limits.count(), self.random.f64());
                    self.sleep_until(self.clock.now_ms() + wait_ms)?;
                    over
                }
                (GetVerdict::Again(why), _) => self.missed(patience, asked.sent_ms, why)?,
                (GetVerdict::Blank, _) => None,
                (GetVerdict::Page(_), Err(_)) => None,
            };
            if let Some(failure) = failure {
                return Ok(Read::Failed { error: failure.into(), of });
            }
            asked = self.ask(asked.request)?;
        }
    }

    /// Waits before a read is tried again, or says that it is not.
    fn missed(&mut self, patience: &mut Patience, sent_ms: u64, why: String) -> Result<Option<Failure>> {
        let retry = self.options.upload.retry;
        let now_ms = self.clock.now_ms();
        patience.misses.add(sent_ms, now_ms);
        let tries = patience.misses.count();
        if patience.most.is_some_and(|most| tries >= most) || patience.misses.are_enough(&retry, now_ms) {
            return Ok(Some(Failure::Unavailable { tries, last: why }));
        }
        self.counts.retries += 1;
        tracing::debug!(why, "trying again");
        let wait_ms = retry.wait_ms(retry.read_base_ms, tries, self.random.f64());
        self.sleep_until(now_ms + wait_ms)?;
        Ok(None)
    }
}
