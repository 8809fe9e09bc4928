//! Signing in to registries, as Docker's token authentication and RFC 7617 (Basic) describe it.
//!
//! The handshake, step by step. `client::handshake` sends the requests to the registry, [`sign_in`] decides what they
//! carry, and `token_service` asks for tokens.
//!
//! 1. The first request goes out without credentials. Where there are credentials for the registry, the other requests
//!    wait for its answer, so that each of them is not sent twice.
//! 2. The registry answers 401 with `WWW-Authenticate` ([`challenge`]): Basic, Bearer, or both, of which Bearer is
//!    preferred. A 403 to a write without credentials counts as well. Where the header is missing, `GET /v2/` is asked for
//!    it, once for a registry.
//! 3. Credentials are looked up ([`credentials`]), once for each repository: those that the caller gave, then
//!    configurations and helpers. None means anonymous; a source that fails is an error.
//! 4. Basic: user and password go with each request, to the origin of the registry's API and to no other. The first
//!    request that carries them goes out by itself; if it is refused they are not tried again in this run, as repeated
//!    attempts may lock an account.
//! 5. Bearer: the realm must pass the rules in `realm`, or no credential leaves this program. Then the token service is
//!    asked, and no redirect is followed:
//!    - with user and password: `GET realm` with Basic;
//!    - with an identity token: `POST realm` as a form with `grant_type=refresh_token`, or `GET realm` with the token as the
//!      password of `<token>` if the service answers 404 or 405;
//!    - with a registry token, which the configuration holds: not at all, that token is used as it is;
//!    - without credentials: `GET realm`.
//! 6. The token is asked for the scopes that the request needs, joined with those that the challenge names, except `*`
//!    ([`scopes`]). A mount needs two repositories, and so one token for both. Where the service refuses that, a token for
//!    the request's own repository is asked for, and from then on only such tokens.
//! 7. The request is sent again with `Authorization: Bearer TOKEN`. Requests with the same or narrower scopes share the
//!    token (`token_cache`), which is fetched again shortly before it runs out.
//! 8. A 401 to a token drops it: it may have run out, or been revoked. The new challenge's scopes are added, and a new token
//!    is tried once. A 403 with `error="insufficient_scope"` is handled alike; for a deletion, which some registries allow
//!    only to `*`, the new token may ask for that. A blob's upload, whose body cannot be repeated, starts over with the
//!    token from its beginning.
//! 9. A token service that does not exist or does not work (no connection, a redirect, 404, 405, 410, 5xx, no token in
//!    the answer) is given up if the registry offers Basic as well and there is a password: from then on step 4 applies. A refusal, a bad
//!    certificate or a realm that breaks the rules never leads there.
//! 10. A refusal that is left is explained in terms of credentials (`denials`): there are none, they are wrong, or they are
//!     good and not enough. Credentials that are refused before any were accepted are wrong for the whole run.
//! 11. A redirect leaves `Authorization` behind on any change of origin. If the other origin answers 401 and issues
//!     anonymous tokens, it gets one of those ([`anonymous_tokens`]), and the request goes on from that hop.

pub(crate) mod anonymous_tokens;
pub(crate) mod challenge;
pub(crate) mod credentials;
mod denials;
mod realm;
pub(crate) mod scopes;
pub(crate) mod sign_in;
mod sign_in_state;
mod token;
mod token_cache;
mod token_service;
