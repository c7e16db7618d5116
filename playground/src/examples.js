// Example operations, one tab for each part of the API. A tab holds several operations: the run
// button asks which. test/examples.mjs checks them against the project's schema.graphql.

const tab = (query, variables) => ({
  query: `${query.trim()}\n`,
  ...(variables && { variables: JSON.stringify(variables, null, 2) }),
});

export const examples = [
  tab(
    `
# Accounts: who am I, my sessions, my profile.
# Ctrl-Enter runs the operation under the cursor.
query Accounts {
  me {
    id
    username
    role
    permissions
    email
    emailVerified
    fullName
    mfaEnabled
    sessions {
      id
      current
      mfa
      lastSeenAt
      ipAddress
    }
  }
}

mutation Register($register: RegisterInput!) {
  register(input: $register) {
    accepted
  }
}

mutation UpdateProfile($profile: UpdateProfileInput!) {
  updateProfile(input: $profile) {
    __typename
  }
}

# Fields marked @recentAuth ask for this within 10 minutes.
mutation Reauthenticate($reauthenticate: ReauthenticateInput!) {
  reauthenticate(input: $reauthenticate) {
    __typename
  }
}

mutation SignOutElsewhere {
  revokeOtherSessions {
    __typename
  }
}
`,
    {
      register: {
        username: 'ada',
        email: 'ada@example.org',
        password: 'choose a long passphrase',
        fullName: 'Ada Lovelace',
      },
      profile: { fullName: 'Ada King' },
      reauthenticate: { password: '' },
    },
  ),
  tab(
    `
# Multi-factor sign-in: enrol, scan the QR code, confirm with a code.
# Reauthenticate first (Accounts tab).
mutation MultiFactor {
  enrollMfa {
    secret
    otpauthUri
    qrCodePng
  }
}

mutation ConfirmMfa($confirm: ConfirmMfaInput!) {
  confirmMfa(input: $confirm) {
    backupCodes
  }
}

mutation NewBackupCodes {
  regenerateBackupCodes {
    __typename
  }
}

query MfaState {
  me {
    mfaEnabled
    backupCodesLeft
  }
}
`,
    { confirm: { code: '' } },
  ),
  tab(
    `
# Posts: the example of an owned resource.
query Posts {
  posts(first: 10) {
    edges {
      node {
        id
        title
        visibility
        version
        author {
          username
        }
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}

mutation CreatePost($create: CreatePostInput!) {
  createPost(input: $create) {
    post {
      id
      title
      version
    }
  }
}

mutation UpdatePost($update: UpdatePostInput!) {
  updatePost(input: $update) {
    post {
      id
      title
      version
    }
  }
}

mutation DeletePost($delete: DeletePostInput!) {
  deletePost(input: $delete) {
    __typename
  }
}
`,
    {
      create: { title: 'Hello', body: 'A first post.', visibility: 'PUBLIC' },
      update: { id: 'post_', title: 'Hello again', expectedVersion: 1 },
      delete: { id: 'post_' },
    },
  ),
  tab(
    `
# Administration: users, locks, bans. Needs the permissions the schema names.
query Administration {
  users(first: 20) {
    edges {
      node {
        id
        username
        role
        isActive
        lockedUntil
        mfaEnabled
      }
    }
  }
}

query FindByEmail {
  users(filter: { email: "ada@example.org" }) {
    edges {
      node {
        id
        username
      }
    }
  }
}

query Bans {
  bans(first: 20) {
    edges {
      node {
        id
        address
        reason
        expiresAt
      }
    }
  }
}

mutation SetRole($role: SetUserRoleInput!) {
  setUserRole(input: $role) {
    __typename
  }
}

mutation Unlock($unlock: UnlockUserInput!) {
  unlockUser(input: $unlock) {
    __typename
  }
}
`,
    { role: { id: 'usr_', role: 'MODERATOR' }, unlock: { id: 'usr_' } },
  ),
  tab(
    `
# Audit: what happened, and whether the record is whole. For administrators.
query Audit($filter: AuditFilter) {
  auditEvents(first: 20, filter: $filter) {
    edges {
      node {
        seq
        at
        eventType
        action
        status
        actor {
          username
        }
        ipAddress
        details
      }
    }
  }
}

query Integrity {
  auditIntegrity {
    intact
    events
    head
    firstBrokenSeq
  }
}

query Security {
  securityOverview(hours: 24) {
    logins
    failedLogins
    lockouts
    denied
    rateLimited
    rejectedQueries
    incidents
    activeSessions
    topAddresses {
      address
      count
    }
  }
}
`,
    { filter: { status: 'FAILURE' } },
  ),
  tab(`
# Subscriptions run until the stop button, over a WebSocket.
subscription Subscriptions {
  postPublished {
    id
    title
    author {
      username
    }
  }
}

subscription MyEvents {
  mySecurityEvents {
    at
    eventType
    status
  }
}

# For administrators.
subscription AllEvents {
  auditEventRecorded {
    seq
    at
    eventType
    status
    actor {
      username
    }
  }
}
`),
];
