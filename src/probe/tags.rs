//! Checks of writing, listing and deleting tags.

use super::check::CheckOutcome;
use super::report::Probe;
use super::repository::difference;
use crate::registry::{Error, ErrorKind, RawRequest, RawResponse, TagList, Verb};

impl Probe<'_> {
    pub(super) async fn further_tags(&mut self) -> Result<CheckOutcome, Error> {
        let index = self.any_index(1);
        for name in ["further-1", "further-2", "further-3"] {
            let outcome = self.round_trip(&self.tag(name), &index).await?;
            if !outcome.is_pass() {
                return Ok(outcome);
            }
        }
        Ok(CheckOutcome::pass("three tags for one index"))
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
        // Some registries refuse to write the same manifest again. That is fine if the tag still points at it.
        Ok(match self.read_back(&tag, &index).await? {
            Ok(_) if again.is_success() => CheckOutcome::pass(again.summary),
            Ok(_) => CheckOutcome::pass(format!("refused, but the tag is unchanged: {}", again.summary)),
            Err(reason) => CheckOutcome::fail(format!("{}, but {reason}", again.summary)),
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
            Ok(waited) if waited.as_millis() < 10 => CheckOutcome::pass("immediately"),
            Ok(waited) => CheckOutcome::pass(format!("after {} ms", waited.as_millis())),
            Err(reason) => CheckOutcome::fail(format!("{}, but {reason}", response.summary)),
        })
    }

    /// Pushes a manifest by digest with several tags in the query, which the distribution-spec does not have yet.
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
            // Without an OCI-Tag header the registry promises no tags, so do not wait for them.
            let is_confirmed = response.header("oci-tag").is_some();
            let problem = match is_confirmed {
                true => self.read_back(tag, &index).await?.err(),
                false => match self.get(tag).await? {
                    read if read.status == 404 => {
                        return Ok(CheckOutcome::unsupported(format!(
                            "{}, but the tags were not written",
                            response.summary
                        )));
                    }
                    read => difference(&read, &index),
                },
            };
            if let Some(reason) = problem {
                return Ok(CheckOutcome::fail(format!("{}, but {tag}: {reason}", response.summary)));
            }
        }
        Ok(CheckOutcome::pass(response.summary))
    }

    pub(super) async fn tag_list(&mut self) -> Result<CheckOutcome, Error> {
        let listed = match self.client.tags(&self.repository, usize::MAX).await {
            Ok(listed) => listed,
            Err(error) => return refused(error),
        };
        self.tag_count = listed.len();
        Ok(match self.readable_tags.iter().find(|tag| !listed.contains(tag)) {
            None => CheckOutcome::pass(format!("{} tags", self.tag_count)),
            Some(tag) => CheckOutcome::fail(format!("{} tags, but {tag} is missing", self.tag_count)),
        })
    }

    /// Lists tags in pages, with `n` and `Link` (OCI distribution-spec, "Listing Tags").
    pub(super) async fn tag_pages(&mut self) -> Result<CheckOutcome, Error> {
        // Aim for about eight pages, even if the repository has many other tags.
        let size = (self.tag_count / 8).max(2);
        let list = format!("tags/list?n={size}");
        let listed = match self.client.tags_in_pages(&self.repository, &list, usize::MAX).await {
            Ok(listed) => listed,
            Err(error) => return refused(error),
        };
        let TagList { tags, pages, .. } = listed;
        let (count, is_complete) = (tags.len(), self.readable_tags.iter().all(|tag| tags.contains(tag)));
        Ok(match (pages, is_complete) {
            (1, true) => CheckOutcome::unsupported(format!("all {count} tags in one page, but {size} were requested")),
            (1, false) => CheckOutcome::fail(format!("only {count} tags, without a Link to the rest")),
            (_, true) => CheckOutcome::pass(format!("{count} tags in {pages} pages")),
            (_, false) => CheckOutcome::fail(format!("{count} tags in {pages} pages, but some are missing")),
        })
    }

    pub(super) async fn delete_tag(&mut self) -> Result<CheckOutcome, Error> {
        let (one, other, index) = (self.tag("delete-1"), self.tag("delete-2"), self.any_index(8));
        for tag in [&one, &other] {
            let outcome = self.round_trip(tag, &index).await?;
            if !outcome.is_pass() {
                return Ok(outcome);
            }
        }
        let response = self.delete(&one).await?;
        if !response.is_success() {
            return Ok(CheckOutcome::refused(&response));
        }
        let (is_gone, other_tag) = (self.is_gone(&one).await?, self.get(&other).await?);
        Ok(match (is_gone, other_tag.status) {
            (true, 200) => CheckOutcome::pass(response.summary),
            (true, _) => {
                CheckOutcome::fail(format!("{}, but another tag of the same manifest is gone too", response.summary))
            }
            _ => CheckOutcome::fail(format!("{}, but the tag still exists", response.summary)),
        })
    }

    pub(super) async fn delete_manifest(&mut self) -> Result<CheckOutcome, Error> {
        let (tag, index) = (self.tag("delete-3"), self.any_index(9));
        let outcome = self.round_trip(&tag, &index).await?;
        if !outcome.is_pass() {
            return Ok(outcome);
        }
        let response = self.delete(index.digest().as_str()).await?;
        if !response.is_success() {
            return Ok(CheckOutcome::refused(&response));
        }
        let is_gone = self.is_gone(index.digest().as_str()).await?;
        Ok(match (is_gone, is_gone && self.is_gone(&tag).await?) {
            (true, true) => CheckOutcome::pass(response.summary),
            (true, _) => CheckOutcome::fail(format!("{}, but its tag still exists", response.summary)),
            _ => CheckOutcome::fail(format!("{}, but it still exists", response.summary)),
        })
    }

    async fn delete(&self, name: &str) -> Result<RawResponse, Error> {
        self.send_raw(RawRequest::new(Verb::Delete, format!("manifests/{name}"))).await
    }

    /// Deletes the pushed manifests, indexes before their images. Their unique content keeps existing images safe.
    pub(super) async fn clean_up(&mut self) {
        let mut leftover = Vec::new();
        for digest in std::mem::take(&mut self.pushed).into_iter().rev() {
            if !is_gone(self.delete(digest.as_str()).await) {
                leftover.push(digest);
            }
        }
        // Some registries refuse to delete a tagged manifest, but delete single tags.
        let mut is_untagged = false;
        if !leftover.is_empty() {
            for tag in std::mem::take(&mut self.tags) {
                is_untagged |= is_gone(self.delete(&tag).await);
            }
        }
        for digest in leftover {
            if !is_untagged || !is_gone(self.delete(digest.as_str()).await) {
                self.report.leftover.push(digest);
            }
        }
        if let Some((repository, digest)) = self.mounted.take() {
            // Ignore errors: registries garbage-collect unreferenced blobs.
            let request = RawRequest::new(Verb::Delete, format!("blobs/{digest}"));
            let _ = self.client.send_raw(&repository, &request).await;
        }
    }
}

fn is_gone(response: Result<RawResponse, Error>) -> bool {
    response.is_ok_and(|response| response.is_success() || response.status == 404)
}

/// Turns an error that the registry caused into an outcome. Other errors, such as a stopped run, are returned.
fn refused(error: Error) -> Result<CheckOutcome, Error> {
    match (error.status(), &error.kind) {
        (Some(400..=499), _) => Ok(CheckOutcome::unsupported(error.to_string())),
        (Some(_), _) | (None, ErrorKind::Protocol(_)) => Ok(CheckOutcome::fail(error.to_string())),
        (None, _) => Err(error),
    }
}
