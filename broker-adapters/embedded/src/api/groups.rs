//! The requests of groups, handed to the coordinator; some of its answers come later.

use std::sync::Arc;

use kafka_protocol::messages::{RequestKind, ResponseKind};

use super::Client;
use crate::clock;
use crate::groups::{self, Reply};
use crate::parts::Parts;

/// Without ACLs everybody may read, delete and describe a group (bits of `AclOperation`), as Kafka answers.
const ALL_OF_GROUP: i32 = 0b1_0100_1000;

/// `None` where the coordinator ended before it answered.
pub(super) async fn respond(
    shared: &Arc<Parts>,
    client: &Client,
    request: RequestKind,
    version: i16,
) -> Option<ResponseKind> {
    let (groups, now) = (&shared.groups, clock::now());
    let client = groups::Client { id: &client.id, host: &client.host };
    Some(match request {
        RequestKind::JoinGroup(request) => later(groups.join_group(&request, version, client, now)).await?.into(),
        RequestKind::SyncGroup(request) => later(groups.sync_group(&request, version, now)).await?.into(),
        RequestKind::Heartbeat(request) => groups.heartbeat(&request, version, now).into(),
        RequestKind::LeaveGroup(request) => groups.leave_group(&request, version, now).into(),
        RequestKind::DescribeGroups(request) => {
            let mut response = groups.describe_groups(&request, version);
            if request.include_authorized_operations {
                response.groups.iter_mut().for_each(|group| group.authorized_operations = ALL_OF_GROUP);
            }
            response.into()
        }
        RequestKind::ListGroups(request) => groups.list_groups(&request, version).into(),
        RequestKind::DeleteGroups(request) => groups.delete_groups(&request, version, now).into(),
        RequestKind::OffsetCommit(request) => groups.offset_commit(&request, version, now).into(),
        RequestKind::OffsetFetch(request) => groups.offset_fetch(&request, version, now).into(),
        RequestKind::OffsetDelete(request) => groups.offset_delete(&request, version, now).into(),
        // `VERSIONS` has no other.
        _ => return None,
    })
}

async fn later<T>(reply: Reply<T>) -> Option<T> {
    match reply {
        Reply::Now(answer) => Some(answer),
        Reply::Later(answer) => answer.await.ok(),
    }
}
