//! What a written record changes: the index, and the counts by which a segment knows what is still needed in it.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::body::Body;
use super::draft::LargeDraft;
use super::index::{Entry, Index, Place};
use super::log::{Effect, Log, Waiting};
use super::segment::Unwritten;
use crate::letter::QueueId;

impl Log {
    /// The chunk is in the file from `start`: the index and the counts of the segments follow.
    pub fn apply(&mut self, mut start: u64) {
        let Some(number) = self.young else { return };
        let shared = self.shared.clone();
        let mut index = shared.index();
        for (record, effect) in std::mem::take(&mut self.chunk) {
            let offset = NonZeroU32::new(start as u32).unwrap_or(NonZeroU32::MIN);
            let place = Place { segment: number, offset, len: record.header.len };
            start += record.size();
            match effect {
                Effect::Append { prefix, large, answer } => {
                    let body = self.apply_append(&mut index, place, record, prefix, large);
                    self.waiting.extend(body.map(|body| Waiting::Body(answer, body)));
                }
                Effect::Update { answer } => {
                    self.apply_update(&mut index, record.header.id, place);
                    self.waiting.extend(answer.map(Waiting::Done));
                }
                Effect::Remove { answer } => {
                    self.apply_remove(&mut index, record.header.id, number);
                    self.waiting.extend(answer.map(Waiting::Done));
                }
                Effect::Bury { segments } => {
                    let buried = segments.into_iter().filter(|segment| *segment != number);
                    let removes = buried.map(|segment| (record.header.id, segment));
                    if let Some(young) = self.segments.get_mut(&number) {
                        young.removes.extend(removes);
                    }
                }
            }
        }
    }

    fn apply_append(
        &mut self,
        index: &mut Index,
        place: Place,
        record: Unwritten,
        prefix: u32,
        large: Option<LargeDraft>,
    ) -> Option<Body> {
        let (id, front) = (record.header.id, record.header.front);
        let entry = Entry { message: place, front, prefix, state: None };
        let segment = self.segments.get_mut(&place.segment)?;
        segment.gain(place.len);
        index.entries.insert(id, entry);
        let text = large.map(|large| {
            index.large.insert(id, large.large());
            Arc::new(large.keep())
        });
        let large = text.is_some();
        let disk = entry.on_disk(id, segment.file.clone(), segment.head.salt, text);
        let prefix = record.front.slice(record.front.len().saturating_sub(prefix as usize)..);
        Some(if large { Body::on_disk(disk) } else { Body::hot(prefix, record.text, disk) })
    }

    fn apply_update(&mut self, index: &mut Index, id: QueueId, place: Place) {
        let Some(entry) = index.entries.get_mut(id) else { return };
        let old = entry.state.replace(place);
        self.gain(place);
        old.into_iter().for_each(|old| self.lose(old));
    }

    fn apply_remove(&mut self, index: &mut Index, id: QueueId, young: u32) {
        let Some(entry) = index.entries.remove(id) else { return };
        self.dead_texts.extend(index.large.remove(&id));
        self.lose(entry.message);
        entry.state.into_iter().for_each(|state| self.lose(state));
        // Old copies may lie in segments whose letters were moved.
        let holders = self.moved.iter().copied().chain([entry.message.segment]).filter(|segment| *segment != young);
        let removes: Vec<(QueueId, u32)> = holders.map(|segment| (id, segment)).collect();
        if let Some(young) = self.segments.get_mut(&young) {
            young.removes.extend(removes);
        }
    }

    pub fn gain(&mut self, place: Place) {
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.gain(place.len);
        }
    }

    pub fn lose(&mut self, place: Place) {
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.lose(place.len);
        }
    }
}
