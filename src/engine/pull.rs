//! Steps 2 and 3: what changed in the store, page by page, merged as it is taken in.
//!
//! Which page comes next, whether the list was whole, and from when on the next pull asks: `flow/pull.rs` decides that,
//! and this module carries it out. The next page is asked for before this one is written, so the wire and the disk work at
//! once. Pages are read in the server's own order, which no change of a customer disturbs; what changes meanwhile bears a
//! later time and comes with the next pull.
//!
//! After a list of everybody that was whole, who is not in it is asked for by id, a while later and in company (see
//! `flow/absent.rs`), before anybody is taken for deleted: the app's own rows hang on it.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::exchange::{Asked, FailureOf, Patience, Read};
use super::theirs::SeenOfEach;
use super::{Event, Extent, Progress, SyncEngine, spans};
use crate::api::{Remote, Request};
use crate::error::{Error, Result};
use crate::flow::{
    Lacking, Lacks, Page, PageAsk, Place, Pull, PullClock, PullStep, Silence, Theirs, Unlisted, Witnesses,
    silence,
};
use crate::resource::{Changes, ResourceId, RowId};
use crate::store::{FullPull, Judging, PageKind, PassedOver, Taken};

/// Customers asked for by id in one call, with their company.
pub(super) const BY_ID_AT_ONCE: usize = 100;

/// So often a page is asked for that has shrunk because somebody on it cannot be listed; one that would show only that customer more
/// often, and any page at first where it is known that there is somebody.
const TRIES_SMALLER: u32 = 1;
const TRIES_ALONE: u32 = 3;
const TRIES_KNOWN: u32 = 2;

/// A pull under way.
pub(super) struct Pulling {
    pub(super) machine: Pull,
    is_full: bool,
    /// It goes on where it was cut: what it had read by then may be of any age.
    is_resumed: bool,
    /// A person asked for everything, which may be older than what is known.
    believes_older: bool,
    /// What the server's clock should have been when it began.
    expected: Option<DateTime<Utc>>,
    /// What it told instead, an earlier one was told too.
    is_told_again: bool,
    /// What the newest page told of the server's clock, and the till's at that moment.
    clock: Option<PullClock>,
    /// A reading that lags, or is the truth, was dropped for want of room: the next pull lists it again.
    has_dropped: bool,
    /// Whom the store could not list before.
    unlisted: Option<Unlisted>,
    /// What the pages have shown besides customers.
    pub(super) seen: SeenOfEach,
    /// So many pages are taken in, and then it is enough for now; `None`: all.
    pages_left: Option<u32>,
}

impl Pulling {
    fn full_pull(&self) -> FullPull {
        let (how_far, expected, has_dropped) = (self.machine.how_far(), self.expected, self.has_dropped);
        FullPull { how_far, expected, has_dropped }
    }

    /// After a page: whether the step that follows is for another time.
    fn is_enough(&mut self, step: &PullStep) -> bool {
        let Some(left) = &mut self.pages_left else { return false };
        *left = left.saturating_sub(1);
        // Only at a place of the list can it go on.
        *left == 0 && matches!(step, PullStep::Ask(ask) if ask.place != Place::Start)
    }

    /// How often a page is asked for.
    fn patience(&self) -> Patience {
        if self.unlisted.is_some() { Patience::of(TRIES_KNOWN) } else { Patience::default() }
    }

    /// `expected_now`: what the server's clock should be now that the list is over.
    fn witnesses(&self, expected_now: DateTime<Utc>) -> Witnesses {
        let (told, newest, expected) = (self.machine.began(), self.machine.newest(), self.expected);
        let lasted = expected.map_or(TimeDelta::zero(), |began| expected_now - began);
        Witnesses { told, expected, is_told_again: self.is_told_again, newest, lasted }
    }
}

/// What decides whether a record that bears an older time than the snapshot is news.
pub(super) struct Trust {
    pub(super) believes_older: bool,
    /// The `Date` that came with it.
    pub(super) server_now: Option<DateTime<Utc>>,
}

/// What is said of a list that was put off: it is nobody's fault, and what it lacks is asked for later.
const PUT_OFF: &str =
    "others use much of the store's quota, so that what changed was put off; a later sync asks for it";

/// How a list ended.
enum Listed {
    Whole,
    /// Without a word: that is an empty list; or whole with what an earlier pull had read of it. It makes no snapshot fresh.
    /// Or as good as it gets: it lacks whom the one before lacked, or whom the store cannot list.
    NotOfNow(Option<String>),
    /// Not whole, and why.
    NotWhole(String),
    /// It goes on from here another time.
    Part,
}

/// What is done about a step of the machine.
enum Going {
    On(Asked),
    /// The list begins anew with this page.
    Anew(Asked),
    Over(Result<(), String>),
    /// The next page is for another time.
    Enough,
}

impl<R: Remote> SyncEngine<R> {
    pub(super) fn pull_and_merge(&mut self, extent: Extent) -> Result<()> {
        self.pull_pages(extent, None)
    }

    /// The same, or a part of a pull of everything that nobody has asked for: so many pages.
    pub(super) fn pull_pages(&mut self, extent: Extent, pages: Option<u32>) -> Result<()> {
        let cursor = self.store.pull_cursor()?;
        let began = self.tick();
        let is_full = extent == Extent::Full || cursor.is_none();
        self.counts.is_of_everybody |= is_full;
        self.has_listed = false;
        self.kept = None;
        let span = spans::pull(if is_full { Extent::Full } else { extent });
        let listed = self.traced(&span, |engine| {
            engine.ask_for_the_gone()?;
            let mut pulling = engine.begin_pull(extent, cursor.filter(|_| !is_full))?;
            pulling.pages_left = pages;
            pulling.believes_older &= pages.is_none();
            let listed = engine.list(&mut pulling, cursor)?;
            engine.store.end_bulk()?;
            engine.ask_for_the_unshown()?;
            Ok(listed)
        })?;
        self.counts.incomplete = None;
        self.counts.is_part = matches!(listed, Listed::Part);
        self.bases.doubted(self.store.doubted()?);
        match listed {
            Listed::Whole => self.bases.pulled(began),
            Listed::NotOfNow(lacks) => self.counts.incomplete = lacks,
            Listed::Part if self.news.waits => self.counts.incomplete = Some(PUT_OFF.to_owned()),
            Listed::Part => {}
            Listed::NotWhole(why) => {
                tracing::warn!(why, "the store's list was not whole");
                self.counts.incomplete = Some(format!("{why}; the next pull asks for all of it again"));
            }
        }
        Ok(())
    }

    /// What changed of the resources that the file keeps besides customers, one after the other; or all of it.
    pub(super) fn pull_others(&mut self, extent: Extent) -> Result<()> {
        let kept = self.kept.take().map_or_else(|| self.store.keeps(), Ok)?;
        let mut others = kept.into_iter().filter(|resource| *resource != ResourceId::CUSTOMER);
        others.try_for_each(|resource| self.pull_all_of(resource, extent))
    }

    fn pull_all_of(&mut self, resource: ResourceId, extent: Extent) -> Result<()> {
        let (known, changes) = (self.store.cursor_of(resource)?, resource.spec().changes);
        if changes == Changes::None && extent == Extent::Changes && known.is_some() {
            // No question shows what changed: each is looked at before it is sent, and all with a pull of everything.
            return self.ask_for_doubtful(resource);
        }
        let is_dated = matches!(changes, Changes::Since(_));
        let cursor = known.filter(|_| is_dated && extent == Extent::Changes);
        let (began, mut machine, mut patience) =
            (self.tick(), Pull::of(resource, cursor), Patience::default());
        self.ask_for_doubtful(resource)?;
        let (mut asked, expected) = (self.ask_page(machine.first())?, self.store.pull_clock()?);
        let mut listed = BTreeSet::new();
        let expected_then = expected.expects(self.clock.utc());
        let believes_older = extent == Extent::Full;
        let whole = loop {
            let read = self.answered(asked, &mut patience, |engine, page, answer| {
                let step = machine.page(page, answer.date);
                if cursor.is_none() {
                    listed.extend(page.ids());
                }
                let trust = Trust { believes_older, server_now: answer.date };
                engine.take_in(page, &PageKind::Changes, trust, None)?;
                Ok(step)
            })?;
            let step = match read {
                Read::Taken(step) => step,
                Read::TooMuch { why, has_begun, first } => machine.too_much(&why, has_begun, first),
                Read::Failed { error, .. } => return Err(error),
            };
            asked = match step {
                PullStep::Ask(ask) | PullStep::Anew(ask) => self.ask_page(ask)?,
                PullStep::Over(whole) => break whole,
            };
        };
        self.commit_pages()?;
        if let Err(why) = whole {
            tracing::warn!(resource = resource.spec().name, why, "the store's list was not whole");
            let words = format!("{}: {why}; the next pull asks for all of it again", resource.spec().plural);
            self.counts.incomplete.get_or_insert(words);
            return Ok(());
        }
        if cursor.is_none() {
            self.find_gone_of(resource, &listed)?;
        }
        match resource.spec().is_upserted {
            true if machine.is_told() => self.bases.listed(resource, began),
            true => {}
            false => self.bases.pulled_of(resource, began),
        }
        let witnesses = Witnesses {
            told: machine.began(),
            expected: Some(expected_then),
            is_told_again: false,
            newest: machine.newest(),
            lasted: expected.expects(self.clock.utc()) - expected_then,
        };
        match witnesses.next_cursor(cursor, self.overlap(), machine.seen() > 0) {
            Some(cursor) => self.store.set_cursor_of(resource, cursor),
            None => Ok(()),
        }
    }

    /// Rows that were deleted remotely while they had edits, and those of which a reading was older than what is known.
    fn ask_for_doubtful(&mut self, resource: ResourceId) -> Result<()> {
        let mut rows = self.store.gone(resource)?;
        rows.extend(self.store.held_up_again()?);
        rows.extend(self.store.doubted()?);
        rows.retain(|row| row.resource == resource);
        rows.extend(self.store.unshown(resource, self.clock.utc())?);
        rows.chunks(BY_ID_AT_ONCE).try_for_each(|rows| self.look_at_each(rows).map(drop))
    }

    /// Whoever a list of all lacks is asked for by id, a while later and in company, before it is taken for deleted.
    fn find_gone_of(&mut self, resource: ResourceId, listed: &BTreeSet<RowId>) -> Result<()> {
        let absent = self.store.absent_of(resource, listed)?;
        let company = listed.first().into_iter().chain(listed.last()).copied().collect();
        self.find_gone_among(absent, company)
    }

    /// Those of these rows that a second look does not show either.
    pub(super) fn absent_once_more(&mut self, absent: &[RowId], company: &[RowId]) -> Result<Vec<RowId>> {
        let mut looked = Looked::default();
        for rows in absent.chunks(BY_ID_AT_ONCE - company.len()) {
            self.second_look(rows.to_vec(), company, &mut looked)?;
        }
        Ok(looked.gone)
    }

    /// For a sync: where the store fails its list, or refuses it, and answers by id, the edits go up all the same, each after a look.
    /// What is wrong with the token or the line is so of every question: behind a page that came it is something else.
    pub(super) fn pull_or_do_without(&mut self) -> Result<()> {
        let Err(error) = self.pull_and_merge(Extent::Changes) else { return Ok(()) };
        let is_asked_to_wait = self.pacer.ready_at_ms(self.clock.now_ms()) > self.clock.now_ms();
        let may_be_of_the_list = match error.code() {
            "unavailable" | "protocol" => true,
            "auth" | "offline" => self.has_listed,
            _ => false,
        };
        if !may_be_of_the_list || is_asked_to_wait || self.store.status()?.pending_fields == 0 {
            return Err(error);
        }
        // A refusal of the question by id, too, is an answer of a store that fails, and none of one that refuses.
        let answers = match error.code() {
            "unavailable" => self.answers_by_id()?,
            _ => self.shows_by_id()?,
        };
        if !answers {
            return Err(error);
        }
        tracing::warn!(%error, "the store fails its list and answers by id: the upload goes on with looks");
        self.counts.incomplete = Some(format!("{error}; the next pull asks for all of it again"));
        self.bases.doubted(self.store.doubted()?);
        Ok(())
    }

    fn begin_pull(&mut self, extent: Extent, modified_min: Option<DateTime<Utc>>) -> Result<Pulling> {
        let is_full = modified_min.is_none();
        let unlisted = self.store.unlisted()?;
        let asks_again = unlisted.as_ref().filter(|unlisted| unlisted.is_due(self.clock.utc()));
        let modified_min = modified_min.map(|min| asks_again.map_or(min, |unlisted| min.min(unlisted.since)));
        let cut = if is_full { self.store.begin_full_pull()? } else { None };
        let is_resumed = cut.is_some();
        let (machine, expected, has_dropped) = match cut {
            Some((FullPull { how_far, expected, has_dropped }, seen)) => {
                (Pull::resumed(how_far, seen), expected, has_dropped)
            }
            None if is_full => (Pull::new(None), None, false),
            None => (Pull::new(modified_min).showing(self.shown_with_customers()?), None, false),
        };
        Ok(Pulling {
            machine,
            is_full,
            is_resumed,
            believes_older: extent == Extent::Full,
            expected,
            is_told_again: false,
            clock: None,
            has_dropped,
            unlisted,
            seen: SeenOfEach::default(),
            pages_left: None,
        })
    }

    /// Reads a list to its end. Only one that was whole deletes anybody, or moves the cursor.
    fn list(&mut self, pulling: &mut Pulling, cursor: Option<DateTime<Utc>>) -> Result<Listed> {
        let read = self.page_by_page(pulling);
        // Also after a failure: what was taken in stays.
        self.commit_pages()?;
        let Some(read) = read? else { return Ok(Listed::Part) };
        self.end_theirs(pulling)?;
        let is_as_good_as_it_gets = self.is_as_good_as_it_gets(pulling)?;
        let is_whole = read.is_ok();
        match read {
            Ok(()) if pulling.is_full => {
                let has_unseen = self.find_deletions(pulling.machine.total() == Some(0))?;
                self.bases.overlooked(if has_unseen { self.store.all_unseen()? } else { BTreeSet::new() });
            }
            Ok(()) => {}
            // Nor is anybody fresh by it: somebody may be missing all the same.
            Err(why) if is_as_good_as_it_gets => {
                tracing::warn!(
                    why,
                    "it lacks what it lacked before: that counts, and nobody is taken for deleted"
                );
            }
            Err(why) => {
                if pulling.is_full && pulling.machine.lacks().is_some() {
                    self.store.forget_full_pull()?;
                }
                return Ok(Listed::NotWhole(why));
            }
        }
        let unlisted = self.note_unlisted(pulling, is_whole)?;
        let has_news = pulling.machine.seen() > 0 || pulling.machine.unlisted().is_some();
        let (known, now) = (self.store.pull_clock()?, self.clock.utc());
        let witnesses = pulling.witnesses(known.expects(now));
        let cursor = match pulling.has_dropped {
            true => None,
            false => witnesses.next_cursor(cursor, self.overlap(), has_news),
        };
        let known = pulling.clock.map_or(known, |heard| known.hear(heard));
        self.store.end_pull(pulling.is_full, cursor, &known, now)?;
        let is_of_now = is_whole && !pulling.has_dropped && pulling.machine.is_told() && !pulling.is_resumed;
        Ok(match unlisted.or(pulling.machine.named()) {
            None if is_of_now => Listed::Whole,
            lacks => Listed::NotOfNow(lacks),
        })
    }

    /// Whether a list that was not whole lacks no more than is known to be lacking; what one of everybody lacks is noted.
    fn is_as_good_as_it_gets(&mut self, pulling: &Pulling) -> Result<bool> {
        let (lacked, lacking) = (self.store.lacks()?, pulling.machine.lacks());
        if !pulling.is_full {
            let knows_nobody = lacking.as_ref().is_some_and(|lacking| *lacking == Lacking::default());
            let is_covered = lacked.zip(lacking).is_some_and(|(lacked, lacking)| lacked.covers(&lacking));
            return Ok(knows_nobody || is_covered);
        }
        let lacks = lacking.clone().map(|lacking| Lacks::again(lacked.as_ref(), lacking));
        if lacks != lacked {
            self.store.note_lacks(lacks.as_ref())?;
        }
        Ok(lacks.zip(lacking).is_some_and(|(lacks, lacking)| lacks.covers(&lacking)))
    }

    /// Whom the store could not list as changed is asked for again another time, so that the cursor moves all the same. Who that
    /// is, in words, for as long as it is so.
    fn note_unlisted(&mut self, pulling: &Pulling, is_whole: bool) -> Result<Option<String>> {
        let Pulling { machine, unlisted: before, .. } = pulling;
        let now = match (machine.modified_min(), machine.unlisted()) {
            (Some(since), Some(words)) => {
                Some(Unlisted::again(before.clone(), since, words, self.clock.utc()))
            }
            (Some(since), None) => before.clone().filter(|before| since > before.since),
            (None, _) => before.clone().filter(|_| !is_whole),
        };
        if now != *before {
            self.store.note_unlisted(now.as_ref())?;
        }
        Ok(now.map(|now| now.words()))
    }

    /// None: it is enough for now.
    fn page_by_page(&mut self, pulling: &mut Pulling) -> Result<Option<Result<(), String>>> {
        let mut patience = pulling.patience();
        patience.gives_way = self.news.may_wait && !pulling.is_full;
        let mut going = self.go_on(pulling, pulling.machine.first())?;
        // Why the list is tried anew, until it has begun.
        let mut refused: Option<Error> = None;
        loop {
            let (asked, is_anew) = match going {
                Going::On(asked) => (asked, false),
                Going::Anew(asked) => (asked, true),
                Going::Over(whole) => return Ok(Some(whole)),
                Going::Enough => return Ok(None),
            };
            let read = self.answered(asked, &mut patience, |engine, page, answer| {
                engine.page(pulling, page, answer.date, is_anew)
            })?;
            going = match read {
                Read::Taken(next) => {
                    (refused, patience, self.has_listed) = (None, pulling.patience(), true);
                    next
                }
                Read::TooMuch { why, has_begun, first } => {
                    let step = pulling.machine.too_much(&why, has_begun, first);
                    self.go(pulling, step)?
                }
                Read::Failed { .. } if self.news.waits => return Ok(None),
                Read::Failed { error, .. } if refused.is_some() => return Err(refused.unwrap_or(error)),
                Read::Failed { error, of } => match self.around(pulling, &error, of)? {
                    Some(step) => {
                        let is_of_one = pulling.machine.is_of_one();
                        patience = Patience::of(if is_of_one { TRIES_ALONE } else { TRIES_SMALLER });
                        self.go(pulling, step)?
                    }
                    None => {
                        let (machine, is_failing) = (&mut pulling.machine, error.code() == "unavailable");
                        let again = match of {
                            FailureOf::Question => machine.refused(is_failing),
                            FailureOf::Either if is_failing => machine.failed(),
                            FailureOf::Either => machine.failed().or_else(|| machine.refused(false)),
                            FailureOf::Line => None,
                        };
                        let Some(step) = again else {
                            let place = pulling.machine.fails_at().filter(|_| of != FailureOf::Line);
                            return Err(match place {
                                Some(place) => error.at(&place),
                                None => error,
                            });
                        };
                        tracing::info!(%error, "the store may not know this place of the list: is it there without?");
                        patience = pulling.patience();
                        if matches!(step, PullStep::Anew(_)) {
                            (refused, patience) = (Some(error), Patience::once());
                        }
                        self.go(pulling, step)?
                    }
                },
            };
        }
    }

    /// A page failed: the step around somebody on it whom the store cannot list, if it answers other questions.
    fn around(&mut self, pulling: &mut Pulling, error: &Error, of: FailureOf) -> Result<Option<PullStep>> {
        let may_be = error.code() == "unavailable" && of != FailureOf::Line && !pulling.machine.may_be_dead();
        // That it answers is known for as long as pages only get smaller.
        let is_known = pulling.machine.is_shrinking() && !pulling.machine.is_of_one();
        if !may_be || !(is_known || self.answers_others()?) {
            return Ok(None);
        }
        if let Some(pages) = pulling.machine.elsewhere()
            && !self.answers_any(pages.into_iter().map(Request::Page).collect())?
        {
            return Ok(None);
        }
        let step = pulling.machine.cannot_list(&error.to_string());
        if step.is_some() {
            tracing::info!(%error, "the store may not be able to list somebody on this page: less is asked for");
        }
        Ok(step)
    }

    /// Whether the store answers a question for others: for a few customers of the file by id, or for the first of its list.
    fn answers_others(&mut self) -> Result<bool> {
        let mut questions = self.by_id()?;
        if questions.is_empty() {
            let page = |number| PageAsk { place: Place::Number(number), limit: 1, ..PageAsk::default() };
            questions.extend([1, 2].map(|number| Request::Page(page(number))));
        }
        self.answers_any(questions)
    }

    /// Questions for a few customers of the file, by id.
    fn by_id(&mut self) -> Result<Vec<Request>> {
        let mut questions = Vec::new();
        for nth in 0..2 {
            let company = self.company_shown(ResourceId::CUSTOMER, nth)?;
            if !company.is_empty() {
                questions.push(Request::ByIds(company));
            }
        }
        Ok(questions)
    }

    /// Whether the store answers a question for a few customers of the file.
    pub(super) fn answers_by_id(&mut self) -> Result<bool> {
        let questions = self.by_id()?;
        self.answers_any(questions)
    }

    /// Whether it shows one of them.
    fn shows_by_id(&mut self) -> Result<bool> {
        let questions = self.by_id()?;
        self.answers_one_of(questions, false)
    }

    fn answers_any(&mut self, questions: Vec<Request>) -> Result<bool> {
        self.answers_one_of(questions, true)
    }

    /// `or_too_much`: what was answered, and could not be taken in, is an answer too.
    fn answers_one_of(&mut self, questions: Vec<Request>, or_too_much: bool) -> Result<bool> {
        for question in questions {
            let asked = self.ask(question)?;
            match self.answered(asked, &mut Patience::once(), |_, page, _| Ok(!page.is_empty()))? {
                // Nobody is shown behind the end of a list too, and by what has lost its index.
                Read::Failed { .. } | Read::Taken(false) => {}
                Read::TooMuch { .. } if !or_too_much => {}
                Read::Taken(true) | Read::TooMuch { .. } => return Ok(true),
            }
        }
        Ok(false)
    }

    fn go(&mut self, pulling: &Pulling, step: PullStep) -> Result<Going> {
        Ok(match step {
            PullStep::Ask(ask) => self.go_on(pulling, ask)?,
            PullStep::Anew(ask) => Going::Anew(self.ask_page(ask)?),
            PullStep::Over(whole) => Going::Over(whole),
        })
    }

    /// A list of everybody goes on at a place of it, and at no other.
    fn go_on(&mut self, pulling: &Pulling, ask: PageAsk) -> Result<Going> {
        let may_end_here = !pulling.is_full || ask.place != Place::Start;
        if may_end_here && self.gives_way_to_edits()? {
            return Ok(Going::Enough);
        }
        Ok(Going::On(self.ask_page(ask)?))
    }

    fn ask_page(&mut self, ask: PageAsk) -> Result<Asked> {
        self.ask(Request::Page(ask))
    }

    /// Takes in one page; the next one is on its way by then.
    fn page(
        &mut self,
        pulling: &mut Pulling,
        page: &Page<'_>,
        date: Option<DateTime<Utc>>,
        is_anew: bool,
    ) -> Result<Going> {
        if is_anew {
            (pulling.expected, pulling.is_told_again, pulling.is_resumed) = (None, false, false);
            if pulling.is_full {
                self.store.forget_full_pull()?;
            }
        }
        let here = self.clock.utc();
        if self.store.has_company() {
            self.store.supersede_meanwhile(here)?;
        }
        pulling.clock = date.map(|told| PullClock { told, here }).or(pulling.clock);
        let had_begun = pulling.machine.began().is_some();
        let step = pulling.machine.page(page, date);
        if pulling.expected.is_none() || !had_begun {
            let known = self.store.pull_clock()?;
            pulling.expected.get_or_insert(known.expects(here));
            pulling.is_told_again = pulling.clock.is_some_and(|heard| known.is_odd_again(heard));
        }
        self.news.waits = !had_begun && !pulling.is_full && self.puts_off_news(&step);
        let going =
            if self.news.waits || pulling.is_enough(&step) { Going::Enough } else { self.go(pulling, step)? };
        let kind = match pulling.is_full {
            true => PageKind::Full(Box::new(pulling.full_pull())),
            false => PageKind::Changes,
        };
        let progress = Progress::Pulled { customers: pulling.machine.seen(), of: pulling.machine.total() };
        let believes_older = pulling.believes_older || pulling.machine.believes_older();
        let trust = Trust { believes_older, server_now: date };
        let shows = pulling.machine.shows().to_vec();
        let theirs: Vec<Theirs> = shows.iter().map(|resource| Theirs::of(*resource, page)).collect();
        let alone = theirs.first().map(|theirs| theirs.customers(page));
        let page = alone.as_ref().unwrap_or(page);
        let passed_over = self.take_in(page, &kind, trust, Some(Event::Progress(progress)))?;
        pulling.has_dropped |= passed_over.has_dropped;
        drop(alone);
        for (resource, theirs) in shows.into_iter().zip(theirs) {
            self.take_theirs(pulling, resource, theirs, date)?;
        }
        Ok(going)
    }

    /// Whether what follows the first page waits for another time: edits are sent before it, which would wait for all of it.
    fn puts_off_news(&self, step: &PullStep) -> bool {
        let goes_on = matches!(step, PullStep::Ask(ask) if ask.place != Place::Start);
        self.news.may_wait && goes_on && self.pacer.has_no_room_for_news(self.clock.now_ms())
    }

    /// Takes in a page. It stays open for the next one if that is here already. Returns what of it was not believed.
    pub(super) fn take_in(
        &mut self,
        page: &Page<'_>,
        kind: &PageKind,
        Trust { believes_older, server_now }: Trust,
        progress: Option<Event>,
    ) -> Result<PassedOver> {
        let (policies, now) = (&self.options.policies, self.clock.utc());
        let judging = Judging { policies, believes_older, server_now, now };
        if !page.contradicted.is_empty() {
            tracing::warn!(
                customers = page.contradicted.len(),
                "an answer tells two things at once of a customer"
            );
            self.store.note_contradicted(&page.contradicted, kind, policies.moment(now))?;
        }
        let mut taken = match self.store.take_page(&page.rows, kind, judging) {
            Ok(taken) => taken,
            Err(failed) => {
                self.untold.clear();
                return Err(failed);
            }
        };
        let customers = taken.changed.iter().filter(|row| row.resource == ResourceId::CUSTOMER);
        self.counts.pulled += customers.count() as u64;
        let passed_over = std::mem::take(&mut taken.passed_over);
        if !self.store.has_open_pages() {
            self.tell_news();
        }
        news(taken).chain(progress).for_each(|event| self.say(event));
        Ok(passed_over)
    }

    /// Commits the pages that were taken in, and tells of them.
    pub(super) fn commit_pages(&mut self) -> Result<()> {
        let committed = self.store.commit_pages();
        if committed.is_err() {
            self.untold.clear();
        }
        self.tell_news();
        committed
    }

    fn tell_news(&mut self) {
        std::mem::take(&mut self.untold).into_iter().for_each(|event| (self.on_event)(event));
    }

    /// Tells of something; not before the open pages are committed: who hears it may read the file, or write.
    pub(super) fn say(&mut self, event: Event) {
        match self.store.has_open_pages() {
            true => self.untold.push(event),
            false => (self.on_event)(event),
        }
    }

    // ---- by id -------------------------------------------------------------------------------------------------------

    /// Customers that were deleted remotely while they had edits: who is there again comes back. And those that something of the
    /// app's held up: it may let them pass now. And those of whom a reading was older than what is known: it may be the truth.
    fn ask_for_the_gone(&mut self) -> Result<()> {
        let mut gone = self.store.gone(ResourceId::CUSTOMER)?;
        gone.extend(self.store.held_up_again()?);
        gone.extend(self.store.doubted()?);
        gone.retain(|row| row.resource == ResourceId::CUSTOMER);
        gone.chunks(BY_ID_AT_ONCE).try_for_each(|ids| self.look_at_each(ids).map(drop))
    }

    /// Customers of whom the store said yes to something that its answer did not tell, and no list since. Where updates land,
    /// that is nobody: lists show who was changed.
    fn ask_for_the_unshown(&mut self) -> Result<()> {
        let unshown = self.store.unshown(ResourceId::CUSTOMER, self.clock.utc())?;
        unshown.chunks(BY_ID_AT_ONCE).try_for_each(|ids| self.look_at_each(ids).map(drop))
    }

    /// Asks for customers by id, and takes in whom the answers show; in several if one cannot bring all, or does not: the next time it
    /// might show the same ones again. Whom the store cannot show, asked for alone, is told, and holds up nobody: those are returned.
    pub(super) fn look_at_each(&mut self, ids: &[RowId]) -> Result<Vec<RowId>> {
        let (mut groups, mut line, mut unshown) = (vec![ids.to_vec()], LineTo::default(), Vec::new());
        while let Some(group) = groups.pop() {
            match (self.look(&group, &[], &mut line)?, &group[..]) {
                (Some((shown, silence)), asked) => {
                    groups.extend(self.perhaps_cut_off(asked, &shown, silence)?);
                }
                (None, [id]) => {
                    tracing::warn!(row = %id, "the store cannot show this one by id");
                    unshown.push(*id);
                }
                (None, group) => groups.extend(group.chunks(group.len().div_ceil(2)).map(<[_]>::to_vec)),
            }
        }
        Ok(unshown)
    }

    /// Who is asked for once more, since an answer showed only some of those who were asked for. Of whom the file knows to be gone, one
    /// that looks whole says nothing new: they are asked for with each sync.
    fn perhaps_cut_off(
        &self,
        asked: &[RowId],
        shown: &BTreeSet<RowId>,
        silence: Silence,
    ) -> Result<Option<Vec<RowId>>> {
        let mut rest: Vec<RowId> = asked.iter().copied().filter(|id| !shown.contains(id)).collect();
        if rest.is_empty() || rest.len() == asked.len() {
            return Ok(None);
        }
        if silence != Silence::SaysNothing {
            let gone = self.store.gone(rest[0].resource)?;
            rest.retain(|id| !gone.contains(id));
        }
        Ok((!rest.is_empty()).then_some(rest))
    }

    /// Asks for customers by id, and takes in whom the answer shows. Who is shown, and what that says of the others; `None`:
    /// it is more than one answer can bring, or they hold somebody whom the store cannot show.
    fn look(
        &mut self,
        ids: &[RowId],
        company: &[RowId],
        line: &mut LineTo,
    ) -> Result<Option<(BTreeSet<RowId>, Silence)>> {
        let asked = self.ask(Request::ByIds([ids, company].concat()))?;
        let read = self.answered(asked, &mut line.patience(ids), |engine, page, answer| {
            engine.take_looked(page, answer.date)?;
            let silence = silence(ids, company, page);
            let is_whole = silence != Silence::SaysNothing;
            let unmade = if is_whole { engine.store.unmade(ids, &page.ids())? } else { Vec::new() };
            Ok((page.ids().into_iter().chain(unmade).collect(), silence))
        })?;
        match read {
            Read::Taken(told) => Ok(Some(told)),
            Read::TooMuch { .. } => Ok(None),
            Read::Failed { error, of } => {
                let may_be = error.code() == "unavailable" && of != FailureOf::Line;
                line.is_alive = may_be && (line.is_alive || self.answers_others()?);
                if line.is_alive { Ok(None) } else { Err(error) }
            }
        }
    }

    /// Customers of the file that a whole list did not show are asked for by id, before they are taken for deleted. Those
    /// that are there were only overlooked, and what was read of them is taken in.
    /// `says_nobody`: the list told, in a number, that there is nobody.
    /// Returns whether there were any.
    fn find_deletions(&mut self, says_nobody: bool) -> Result<bool> {
        let word = self.word.take();
        let unseen = self.store.count_unseen()?;
        if unseen == 0 {
            return Ok(false);
        }
        let (customers, now) = (self.store.status()?.snapshot_customers, self.clock.utc());
        let most =
            self.options.deletions.most(customers, self.store.gone_lately(ResourceId::CUSTOMER, now)?, word);
        let company = self.store.company_of_list()?;
        let looked = match (company.is_empty(), word) {
            (true, Some(word)) if unseen <= word => self.all_absent()?,
            // Nobody at all is in the list: the store may be closed for an hour. A few are asked for one by one.
            (true, _) if unseen > most || !says_nobody => Looked::default(),
            _ => self.absent(&company, most)?,
        };
        let old_enough = self.old_enough(looked.gone.clone())?;
        let young = (looked.gone.len() - old_enough.len()) as u64;
        let looked = Looked { gone: old_enough, there: looked.there + young, ..looked };
        let is_believed = looked.gone.len() as u64 <= most;
        let gone = if is_believed { &looked.gone[..] } else { &[] };
        // Of what a person said is no account kept.
        if !gone.is_empty() && word.is_none_or(|word| word < gone.len() as u64) {
            self.store.note_gone(ResourceId::CUSTOMER, gone.len() as u64, now)?;
        }
        for ids in gone.chunks(BY_ID_AT_ONCE) {
            self.take_gone(ids)?;
        }
        self.counts.unbelieved = unseen.saturating_sub(gone.len() as u64 + looked.there);
        Ok(true)
    }

    /// Nobody at all is in the list, and a person said that it may be so.
    fn all_absent(&self) -> Result<Looked> {
        let mut looked = Looked::default();
        while looked.look_on(self.store.unseen(looked.above, BY_ID_AT_ONCE)?) {}
        Ok(looked)
    }

    /// Looks a second time at all that the list lacked, until more are absent than would be believed.
    fn absent(&mut self, company: &[RowId], most: u64) -> Result<Looked> {
        let apart_ms = u64::try_from(self.options.second_look.as_millis()).unwrap_or(u64::MAX);
        self.sleep_until(self.clock.now_ms().saturating_add(apart_ms))?;
        let (mut looked, mut silent) = (Looked::default(), 0);
        while looked.gone.len() as u64 <= most && silent < SILENT_AT_MOST {
            self.refuse_when_stopped()?;
            let at_once = if company.is_empty() { 1 } else { BY_ID_AT_ONCE - company.len() };
            let unseen = self.store.unseen(looked.above, at_once)?;
            let Some(last) = unseen.last() else { break };
            looked.above = last.row;
            silent += u32::from(!self.second_look(unseen, company, &mut looked)?);
        }
        Ok(looked)
    }

    /// Returns false if nothing was to be learned of some of them.
    fn second_look(&mut self, ids: Vec<RowId>, company: &[RowId], looked: &mut Looked) -> Result<bool> {
        let (mut groups, mut is_known, mut line) = (vec![ids], true, LineTo::default());
        while let Some(group) = groups.pop() {
            let Some((shown, silence)) = self.look(&group, company, &mut line)? else {
                match group.len() {
                    1 => looked.there += 1,
                    size => groups.extend(group.chunks(size.div_ceil(2)).map(<[_]>::to_vec)),
                }
                continue;
            };
            let asked = group.len();
            let rest: Vec<RowId> = group.into_iter().filter(|id| !shown.contains(id)).collect();
            looked.there += (asked - rest.len()) as u64;
            match silence {
                _ if rest.is_empty() => {}
                Silence::NotThereAlone => looked.gone.extend(rest),
                // Some of them were there: the others were perhaps cut off.
                _ if rest.len() < asked => groups.push(rest),
                _ => is_known = false,
            }
        }
        Ok(is_known)
    }

    /// Takes in customers that were read by id. Returns those that were not believed: another moment tells.
    pub(super) fn take_looked(
        &mut self,
        page: &Page<'_>,
        server_now: Option<DateTime<Utc>>,
    ) -> Result<BTreeSet<RowId>> {
        let trust = Trust { believes_older: false, server_now };
        let taken = self.take_in(page, &PageKind::Changes, trust, None);
        // Also after a failure: what was taken in stays.
        self.commit_pages()?;
        taken.map(|passed_over| passed_over.rows)
    }

    /// These customers are gone from the store.
    pub(super) fn take_gone(&mut self, gone: &[RowId]) -> Result<()> {
        if gone.is_empty() {
            return Ok(());
        }
        let taken = self.store.take_deletions(gone, self.clock.utc())?;
        let customers = taken.changed.iter().filter(|row| row.resource == ResourceId::CUSTOMER);
        self.counts.gone += customers.count() as u64;
        news(taken).for_each(|event| self.say(event));
        Ok(())
    }

    /// Times are whole seconds, and whether the bound itself is included is not documented: one more second.
    pub(super) fn overlap(&self) -> TimeDelta {
        TimeDelta::from_std(self.options.overlap.saturating_add(Duration::from_secs(1)))
            .unwrap_or(TimeDelta::MAX)
    }
}

/// Answers by id that say nothing of the absent, until no more are asked for.
const SILENT_AT_MOST: u32 = 3;

/// What is known of the line while customers are asked for by id.
#[derive(Default)]
struct LineTo {
    /// A question failed, and the store answers others: it is about somebody of those it was for.
    is_alive: bool,
}

impl LineTo {
    fn patience(&self, ids: &[RowId]) -> Patience {
        match (self.is_alive, ids.len()) {
            (false, _) => Patience::default(),
            (true, 1) => Patience::of(TRIES_ALONE),
            (true, _) => Patience::of(TRIES_SMALLER),
        }
    }
}

/// What the second look found.
struct Looked {
    gone: Vec<RowId>,
    /// How many were only overlooked.
    there: u64,
    /// Those up to here were looked at.
    above: i64,
}

impl Default for Looked {
    fn default() -> Looked {
        Looked { gone: Vec::new(), there: 0, above: i64::MIN }
    }
}

impl Looked {
    /// These are gone. Returns false if there were none.
    fn look_on(&mut self, gone: Vec<RowId>) -> bool {
        self.above = gone.last().map_or(self.above, |last| last.row);
        self.gone.extend(&gone);
        !gone.is_empty()
    }
}

/// What is told of customers that came in.
fn news(taken: Taken) -> impl Iterator<Item = Event> {
    let of_somebody = taken.changed.into_iter().filter(|row| row.resource.spec().customer.is_some());
    let changed = of_somebody.map(|row| Event::CustomerChanged { customer_id: row.customer });
    let held = taken.deletions_held.into_iter();
    let held = held.map(|(row, seq)| Event::DeletionInConflict { customer_id: row.customer, seq });
    changed.chain(held).chain(taken.notices.into_iter().map(Event::of))
}
