//! What tags do.

use super::check::CheckOutcome;
use super::report::Probe;
use super::repository::differs;
use crate::registry::{Error, ErrorKind, RawRequest, RawResponse, TagList, Verb};

impl Probe<'_> {
    pub(super) async fn further_tags(&mut self) -> Result<CheckOutcome, Error> {
        let index = self.any_index(1);
        for name in ["further-1", "further-2", "further-3"] {
            let found = self.round_trip(&self.tag(name), &index).await?;
            if !found.is_pass() {
                return Ok(found);
            }
        }
        Ok(CheckOutcome::pass("three tags of one index"))
    }

    pub(super) async fn same_tag(&mut self) -> Result<CheckOutcome, Error> {
        let (tag, index) = (self.tag("same"), self.any_index(2));
        let first = self.round_trip(&tag, &index).await?;
        if !first.is_pass() {
            return Ok(first);
        }
        let again = self.put(&tag, &index).await?;
        if !again.is_success() && !CheckOutcome::refused(&again).is_unsupported() {
            return Ok(CheckOutcome::refused(&again));
        }
        // A tag that is what it is to be is left alone.
        Ok(match self.read_back(&tag, &index).await? {
            Ok(_) if again.is_success() => CheckOutcome::pass(again.words),
            Ok(_) => CheckOutcome::pass(format!("refused, and the tag is as it was: {}", again.words)),
            Err(reason) => CheckOutcome::fail(format!("{}, and {reason}", again.words)),
        })
    }

    pub(super) async fn moved_tag(&mut self) -> Result<CheckOutcome, Error> {
        let (tag, one, other) = (self.tag("moved"), self.any_index(3), self.any_index(4));
        let first = self.round_trip(&tag, &one).await?;
        if !first.is_pass() {
            return Ok(first);
        }
        self.round_trip(&tag, &other).await
    }

    pub(super) async fn read_after_write(&mut self) -> Result<CheckOutcome, Error> {
        let (tag, index) = (self.tag("read"), self.any_index(5));
        let response = self.put(&tag, &index).await?;
        if !response.is_success() {
            return Ok(CheckOutcome::refused(&response));
        }
        Ok(match self.read_back(&tag, &index).await? {
            Ok(waited) if waited.as_millis() < 10 => CheckOutcome::pass("at once"),
            Ok(waited) => CheckOutcome::pass(format!("after {} ms", waited.as_millis())),
            Err(reason) => CheckOutcome::fail(format!("{}, but {reason}", response.words)),
        })
    }

    /// Not yet in the distribution-spec: the manifest by its digest, with the tags beside it.
    pub(super) async fn several_tags(&mut self) -> Result<CheckOutcome, Error> {
        let index = self.any_index(6);
        let tags = [self.tag("several-1"), self.tag("several-2")];
        let [one, other] = &tags;
        let response = self.put(&format!("{}?tag={one}&tag={other}", index.digest()), &index).await?;
        if !response.is_success() {
            return Ok(CheckOutcome::refused(&response));
        }
        self.tags.extend(tags.iter().cloned());
        for tag in &tags {
            // Where nothing is said of them nothing is waited for.
            let is_said = response.header("oci-tag").is_some();
            let found = match is_said {
                true => self.read_back(tag, &index).await?.err(),
                false => match self.get(tag).await? {
                    found if found.status == 404 => {
                        return Ok(CheckOutcome::unsupported(format!(
                            "{}, but the tags were not written",
                            response.words
                        )));
                    }
                    found => differs(&found, &index),
                },
            };
            if let Some(reason) = found {
                return Ok(CheckOutcome::fail(format!("{}, but {tag}: {reason}", response.words)));
            }
        }
        Ok(CheckOutcome::pass(response.words))
    }

    pub(super) async fn tag_list(&mut self) -> Result<CheckOutcome, Error> {
        let listed = match self.client.tags(&self.repository, usize::MAX).await {
            Ok(listed) => listed,
            Err(error) => return refused(error),
        };
        self.count = listed.len();
        Ok(match self.seen.iter().find(|tag| !listed.contains(tag)) {
            None => CheckOutcome::pass(format!("{} tags", self.count)),
            Some(tag) => CheckOutcome::fail(format!("{} tags, and {tag} is not one of them", self.count)),
        })
    }

    /// OCI distribution-spec, "Listing Tags": `n` and `Link`.
    pub(super) async fn tag_pages(&mut self) -> Result<CheckOutcome, Error> {
        // A few pages, however many tags others have there.
        let size = (self.count / 8).max(2);
        let list = format!("tags/list?n={size}");
        let listed = match self.client.tags_in_pages(&self.repository, &list, usize::MAX).await {
            Ok(listed) => listed,
            Err(error) => return refused(error),
        };
        let TagList { tags, pages, .. } = listed;
        let (count, has) = (tags.len(), self.seen.iter().all(|tag| tags.contains(tag)));
        Ok(match (pages, has) {
            (1, true) => CheckOutcome::unsupported(format!("all {count} tags at once, where {size} were asked for")),
            (1, false) => CheckOutcome::fail(format!("{count} tags, and no Link to the others")),
            (_, true) => CheckOutcome::pass(format!("{count} tags in {pages} pages")),
            (_, false) => CheckOutcome::fail(format!("{count} tags in {pages} pages, and not all of them")),
        })
    }

    pub(super) async fn delete_tag(&mut self) -> Result<CheckOutcome, Error> {
        let (one, other, index) = (self.tag("delete-1"), self.tag("delete-2"), self.any_index(8));
        for tag in [&one, &other] {
            let found = self.round_trip(tag, &index).await?;
            if !found.is_pass() {
                return Ok(found);
            }
        }
        let response = self.delete(&one).await?;
        if !response.is_success() {
            return Ok(CheckOutcome::refused(&response));
        }
        let (is_gone, leftover) = (self.is_gone(&one).await?, self.get(&other).await?);
        Ok(match (is_gone, leftover.status) {
            (true, 200) => CheckOutcome::pass(response.words),
            (true, _) => {
                CheckOutcome::fail(format!("{}, but another tag of the same manifest is gone as well", response.words))
            }
            _ => CheckOutcome::fail(format!("{}, but the tag is still there", response.words)),
        })
    }

    pub(super) async fn delete_manifest(&mut self) -> Result<CheckOutcome, Error> {
        let (tag, index) = (self.tag("delete-3"), self.any_index(9));
        let found = self.round_trip(&tag, &index).await?;
        if !found.is_pass() {
            return Ok(found);
        }
        let response = self.delete(index.digest().as_str()).await?;
        if !response.is_success() {
            return Ok(CheckOutcome::refused(&response));
        }
        let is_gone = self.is_gone(index.digest().as_str()).await?;
        Ok(match (is_gone, is_gone && self.is_gone(&tag).await?) {
            (true, true) => CheckOutcome::pass(response.words),
            (true, _) => CheckOutcome::fail(format!("{}, but its tag is still there", response.words)),
            _ => CheckOutcome::fail(format!("{}, but it is still there", response.words)),
        })
    }

    async fn delete(&self, name: &str) -> Result<RawResponse, Error> {
        self.send_raw(RawRequest::new(Verb::Delete, format!("manifests/{name}"))).await
    }

    /// Deletes what was pushed: indexes before their images. Nobody else has these.
    pub(super) async fn clean(&mut self) {
        let mut leftover = Vec::new();
        for digest in std::mem::take(&mut self.pushed).into_iter().rev() {
            if !is_gone(self.delete(digest.as_str()).await) {
                leftover.push(digest);
            }
        }
        // Some delete no manifest that has a tag, and tags one by one.
        let mut is_freed = false;
        if !leftover.is_empty() {
            for tag in std::mem::take(&mut self.tags) {
                is_freed |= is_gone(self.delete(&tag).await);
            }
        }
        for digest in leftover {
            if !is_freed || !is_gone(self.delete(digest.as_str()).await) {
                self.report.leftover.push(digest);
            }
        }
        if let Some((repository, digest)) = self.mounted.take() {
            // Where nothing refers to it registries collect it as well.
            let request = RawRequest::new(Verb::Delete, format!("blobs/{digest}"));
            let _ = self.client.send_raw(&repository, &request).await;
        }
    }
}

fn is_gone(response: Result<RawResponse, Error>) -> bool {
    response.is_ok_and(|response| response.is_success() || response.status == 404)
}

/// What an error says of the registry; one of this run's own stays one.
fn refused(error: Error) -> Result<CheckOutcome, Error> {
    match (error.status(), &error.kind) {
        (Some(400..=499), _) => Ok(CheckOutcome::unsupported(error.to_string())),
        (Some(_), _) | (None, ErrorKind::Protocol(_)) => Ok(CheckOutcome::fail(error.to_string())),
        (None, _) => Err(error),
    }
}
