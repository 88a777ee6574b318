//! Who is in which group, as ScaiKey lists it: what is missing is added, what is too much is taken away, but for what
//! was said of a single pair since the pull began.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures::future::try_join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::ids::{GroupId, UserId};
use crate::scaikey::Member;
use crate::storage::directory::{self, GroupRow, MemberKind, Membership, stale};
use crate::tenancy::Standing;

use super::super::Result;
use super::super::mirror::{Intake, IntakeError, transaction};
use super::{CALLS_AT_A_TIME, Counts, Report, Run, in_transaction};

/// Groups whose members go in with one transaction.
const GROUPS_PER_TRANSACTION: usize = 50;

/// Ids that one audit entry names.
const NAMED_MAX: usize = 1_000;

/// A group and its members, as ScaiKey lists them.
type Listed<'a> = (&'a str, Vec<Member>);

impl Run<'_> {
    /// All lists are fetched before the first is acted on: if all of them are empty, that is no statement.
    pub(super) async fn members(
        &self,
        groups: &[&str],
        made: &HashMap<String, GroupRow>,
        is_everything: bool,
        report: &mut Report,
    ) -> Result<()> {
        let listed = self.fetch(groups).await?;
        let nothing = listed.iter().all(|(_, members)| members.is_empty());
        let keep = nothing && is_everything && stale::has_members(&self.services.db).await?;
        if keep {
            report.warnings.push("ScaiKey listed no member of any group; memberships are left as they are".into());
            return Ok(());
        }
        for chunk in listed.chunks(GROUPS_PER_TRANSACTION) {
            let counts = in_transaction!(self, |intake| self.members_of(&mut intake, chunk, made).await?)?;
            let Counts { seen, created, unchanged, skipped, deactivated, updated: _ } = counts;
            report.members.seen += seen;
            report.members.created += created;
            report.members.unchanged += unchanged;
            report.members.skipped += skipped;
            report.members.deactivated += deactivated;
        }
        Ok(())
    }

    /// A group that went while this ran is left out.
    async fn fetch<'g>(&self, groups: &[&'g str]) -> Result<Vec<Listed<'g>>> {
        let mut listed = Vec::new();
        for (index, chunk) in groups.chunks(CALLS_AT_A_TIME).enumerate() {
            let answers = try_join_all(chunk.iter().map(|group| self.api.members(group))).await?;
            let there = answers.into_iter().zip(chunk).filter_map(|(members, group)| Some((*group, members?)));
            listed.extend(there);
            self.tell("members", index * CALLS_AT_A_TIME + chunk.len(), groups.len());
        }
        Ok(listed)
    }

    async fn members_of(
        &self,
        intake: &mut Intake<'_>,
        chunk: &[Listed<'_>],
        made: &HashMap<String, GroupRow>,
    ) -> std::result::Result<Counts, IntakeError> {
        let names: Vec<&str> = chunk.iter().map(|(group, _)| *group).collect();
        let mut rows = directory::groups_for_update(&mut intake.tx, &names).await?;
        rows.extend(
            made.iter().filter(|(id, _)| names.contains(&id.as_str())).map(|(id, row)| (id.clone(), row.clone())),
        );
        let pairs = directory::pairs_since(&mut intake.tx, &names, self.source.at).await?;
        let ids = self.ids_of(chunk, pairs.keys().map(|(_, member)| member.as_str())).await?;
        let groups: Vec<&GroupRow> = rows.values().collect();
        let current: HashSet<Membership> = directory::members_of(&mut intake.tx, &groups).await?.into_iter().collect();
        let later: HashSet<(GroupId, Uuid)> = pairs
            .keys()
            .filter_map(|(group, member)| Some((rows.get(group)?.id, ids.get(member.as_str())?.1)))
            .collect();

        let mut counts = Counts::default();
        let mut wanted = HashSet::new();
        for (group, members) in chunk {
            counts.seen += members.len() as u64;
            let row = rows.get(*group).filter(|row| row.status != Standing::Inactive);
            for member in members {
                match row.zip(ids.get(id_of(member))) {
                    Some((row, (kind, id))) => drop(wanted.insert(Membership::new(row, *kind, *id))),
                    None => counts.skipped += 1,
                }
            }
        }
        let is_open = |member: &&Membership| !later.contains(&(member.group, member.member));
        let added: BTreeSet<Membership> = wanted.difference(&current).filter(is_open).copied().collect();
        let removed: BTreeSet<Membership> = current.difference(&wanted).filter(is_open).copied().collect();
        counts.created = added.len() as u64;
        counts.deactivated = removed.len() as u64;
        counts.unchanged = wanted.intersection(&current).count() as u64;
        counts.skipped += (wanted.difference(&current).count() - added.len()) as u64;

        directory::add_members(&mut intake.tx, &added.iter().copied().collect::<Vec<_>>()).await?;
        directory::remove_members(&mut intake.tx, &removed.iter().copied().collect::<Vec<_>>()).await?;
        directory::stamp_lists(&mut intake.tx, &groups, self.source.at).await?;
        for (belong, members) in [(true, &added), (false, &removed)] {
            for group in &groups {
                let of_group: Vec<&Membership> = members.iter().filter(|member| member.group == group.id).collect();
                if !of_group.is_empty() {
                    intake.tell_members(group, belong, named(&of_group));
                }
            }
        }
        Ok(counts)
    }

    /// Ours by ScaiKey's, of all that these lists name.
    async fn ids_of<'m>(
        &self,
        chunk: &'m [Listed<'_>],
        more: impl Iterator<Item = &'m str>,
    ) -> std::result::Result<HashMap<String, (MemberKind, Uuid)>, IntakeError> {
        let all = chunk.iter().flat_map(|(_, members)| members).map(id_of).chain(more);
        let (groups, users): (BTreeSet<&str>, BTreeSet<&str>) = all.partition(|id| id.starts_with("grp_"));
        let (groups, users): (Vec<&str>, Vec<&str>) = (groups.into_iter().collect(), users.into_iter().collect());
        let db = &self.services.db;
        let (mut user_ids, mut group_ids) =
            (directory::user_ids(db, &users).await?, directory::group_ids(db, &groups).await?);
        if self.dry_run {
            user_ids.extend(self.made.users.clone());
            group_ids.extend(self.made.groups.clone());
        }
        let users = user_ids.into_iter().map(|(name, UserId(id))| (name, (MemberKind::User, id)));
        let groups = group_ids.into_iter().map(|(name, GroupId(id))| (name, (MemberKind::Group, id)));
        Ok(users.chain(groups).collect())
    }
}

fn id_of(member: &Member) -> &str {
    let (Member::User(id) | Member::Group(id)) = member;
    id
}

fn named(members: &[&Membership]) -> Value {
    let text = |member: &&Membership| match member.kind {
        MemberKind::User => UserId(member.member).to_string(),
        MemberKind::Group => GroupId(member.member).to_string(),
    };
    let first: Vec<String> = members.iter().take(NAMED_MAX).map(text).collect();
    json!({ "members": first, "count": members.len() })
}
