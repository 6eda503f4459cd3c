-- People, what they can do, where they worked, and what is looked for. A deleted row of the four main tables stays until
-- it is restored; nothing that is kept refers to a deleted skill or company.
CREATE TABLE talents (
    talent_id        TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    name             TEXT COLLATE "C"    NOT NULL,
    email            TEXT,
    email_key        TEXT,             -- the address in lower case
    phone            TEXT,
    avatar           TEXT,
    current_position TEXT,
    current_company  TEXT,
    industry         TEXT,
    education_level  TEXT,
    major            TEXT,
    university       TEXT,
    status           TEXT    NOT NULL CHECK (status IN ('active', 'passive', 'placed', 'inactive')),
    is_deleted       BOOLEAN NOT NULL,
    created_at       TIMESTAMPTZ NOT NULL,
    updated_at       TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX talents_one_email ON talents (email_key) WHERE is_deleted = FALSE;
CREATE INDEX talents_by_key ON talents (is_deleted, talent_id);
CREATE INDEX talents_by_creation ON talents (is_deleted, created_at, talent_id);
CREATE INDEX talents_by_change ON talents (is_deleted, updated_at, talent_id);
CREATE INDEX talents_by_name ON talents (is_deleted, name, talent_id);
CREATE INDEX talents_by_status ON talents (status, is_deleted, talent_id);
CREATE INDEX talents_by_industry ON talents (industry, is_deleted, talent_id);
CREATE INDEX talents_by_company ON talents (current_company, is_deleted, talent_id);
CREATE INDEX talents_by_position ON talents (current_position, is_deleted, talent_id);
CREATE INDEX talents_by_phone ON talents (phone, is_deleted, talent_id);
CREATE INDEX talents_by_education ON talents (education_level, is_deleted, talent_id);
CREATE INDEX talents_by_major ON talents (major, is_deleted, talent_id);
CREATE INDEX talents_by_university ON talents (university, is_deleted, talent_id);

CREATE TABLE skills (
    skill_id    TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    name        TEXT COLLATE "C"    NOT NULL,
    name_key    TEXT COLLATE "C"    NOT NULL, -- the name in lower case
    category    TEXT,
    description TEXT,
    icon        TEXT,
    is_deleted  BOOLEAN NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX skills_one_name ON skills (name_key) WHERE is_deleted = FALSE;
CREATE INDEX skills_by_key ON skills (is_deleted, skill_id);
CREATE INDEX skills_by_creation ON skills (is_deleted, created_at, skill_id);
CREATE INDEX skills_by_name ON skills (is_deleted, name, skill_id);
CREATE INDEX skills_by_category ON skills (category, is_deleted, skill_id);

CREATE TABLE companies (
    company_id TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    name       TEXT COLLATE "C"    NOT NULL,
    industry   TEXT,
    size       TEXT,
    location   TEXT,
    website    TEXT,
    is_deleted BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX companies_by_key ON companies (is_deleted, company_id);
CREATE INDEX companies_by_creation ON companies (is_deleted, created_at, company_id);
CREATE INDEX companies_by_name ON companies (is_deleted, name, company_id);
CREATE INDEX companies_by_industry ON companies (industry, is_deleted, company_id);

CREATE TABLE projects (
    project_id  TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    name        TEXT COLLATE "C"    NOT NULL,
    description TEXT,
    start_date  TEXT    CHECK (start_date LIKE '____-__-__'),
    end_date    TEXT    CHECK (end_date LIKE '____-__-__'),
    status      TEXT    NOT NULL CHECK (status IN ('planning', 'active', 'on_hold', 'completed', 'cancelled')),
    company_id  TEXT COLLATE "C"    REFERENCES companies (company_id),
    is_deleted  BOOLEAN NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL,
    CHECK (end_date >= start_date)
);
CREATE INDEX projects_by_key ON projects (is_deleted, project_id);
CREATE INDEX projects_by_creation ON projects (is_deleted, created_at, project_id);
CREATE INDEX projects_by_name ON projects (is_deleted, name, project_id);
CREATE INDEX projects_by_status ON projects (status, is_deleted, project_id);
CREATE INDEX projects_by_company ON projects (company_id, is_deleted, project_id);

-- What makes a project a demand.
CREATE TABLE project_skill_association (
    project_id TEXT COLLATE "C"    NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    skill_id   TEXT COLLATE "C"    NOT NULL REFERENCES skills (skill_id),
    need       TEXT    NOT NULL CHECK (need IN ('must', 'nice')),
    level      BIGINT CHECK (level BETWEEN 1 AND 5),
    months     BIGINT CHECK (months >= 0),
    position   BIGINT NOT NULL, -- where it stands in the project's list
    PRIMARY KEY (project_id, skill_id)
);
CREATE INDEX project_skill_by_skill ON project_skill_association (skill_id);

CREATE TABLE talent_skill_association (
    talent_id    TEXT COLLATE "C"    NOT NULL REFERENCES talents (talent_id) ON DELETE CASCADE,
    skill_id     TEXT COLLATE "C"    NOT NULL REFERENCES skills (skill_id),
    level        BIGINT CHECK (level BETWEEN 1 AND 5),
    months       BIGINT CHECK (months >= 0),
    last_used    TEXT    CHECK (last_used LIKE '____-__-__'),
    endorsements BIGINT NOT NULL CHECK (endorsements >= 0),
    created_at   TIMESTAMPTZ NOT NULL,
    updated_at   TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (talent_id, skill_id)
);
CREATE INDEX talent_skill_by_skill ON talent_skill_association (skill_id, talent_id);

CREATE TABLE talent_project_association (
    talent_id  TEXT COLLATE "C"    NOT NULL REFERENCES talents (talent_id) ON DELETE CASCADE,
    project_id TEXT COLLATE "C"    NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    role       TEXT,
    start_date TEXT    CHECK (start_date LIKE '____-__-__'),
    end_date   TEXT    CHECK (end_date LIKE '____-__-__'),
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (talent_id, project_id),
    CHECK (end_date >= start_date)
);
CREATE INDEX talent_project_by_project ON talent_project_association (project_id, talent_id);

CREATE TABLE talent_certifications (
    certification_id TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    talent_id        TEXT COLLATE "C"    NOT NULL REFERENCES talents (talent_id) ON DELETE CASCADE,
    name             TEXT COLLATE "C"    NOT NULL,
    issuer           TEXT,
    credential_id    TEXT,
    credential_url   TEXT,
    issue_date       TEXT    CHECK (issue_date LIKE '____-__-__'),
    expiry_date      TEXT    CHECK (expiry_date LIKE '____-__-__'),
    created_at       TIMESTAMPTZ NOT NULL,
    updated_at       TIMESTAMPTZ NOT NULL,
    CHECK (expiry_date >= issue_date)
);
CREATE INDEX talent_certifications_by_talent ON talent_certifications (talent_id, certification_id);

CREATE TABLE talent_relationships (
    relationship_id   TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    talent_id         TEXT COLLATE "C"    NOT NULL REFERENCES talents (talent_id) ON DELETE CASCADE,
    related_talent_id TEXT COLLATE "C"    NOT NULL REFERENCES talents (talent_id) ON DELETE CASCADE,
    relationship_type TEXT    NOT NULL,
    strength          DOUBLE PRECISION    NOT NULL CHECK (strength BETWEEN 0.0 AND 1.0),
    note              TEXT,
    created_at        TIMESTAMPTZ NOT NULL,
    updated_at        TIMESTAMPTZ NOT NULL,
    UNIQUE (talent_id, related_talent_id, relationship_type),
    CHECK (talent_id <> related_talent_id)
);
CREATE INDEX talent_relationships_by_related ON talent_relationships (related_talent_id, relationship_id);

CREATE TABLE talent_educations (
    education_id    TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    talent_id       TEXT COLLATE "C"    NOT NULL REFERENCES talents (talent_id) ON DELETE CASCADE,
    university      TEXT    NOT NULL,
    education_level TEXT,
    major           TEXT,
    start_date      TEXT    CHECK (start_date LIKE '____-__-__'),
    end_date        TEXT    CHECK (end_date LIKE '____-__-__'),
    created_at      TIMESTAMPTZ NOT NULL,
    updated_at      TIMESTAMPTZ NOT NULL,
    CHECK (end_date >= start_date)
);
CREATE INDEX talent_educations_by_talent ON talent_educations (talent_id, education_id);

CREATE TABLE work_experiences (
    experience_id TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    talent_id     TEXT COLLATE "C"    NOT NULL REFERENCES talents (talent_id) ON DELETE CASCADE,
    company_name  TEXT    NOT NULL,
    company_id    TEXT COLLATE "C"    REFERENCES companies (company_id),
    position      TEXT    NOT NULL,
    description   TEXT,
    start_date    TEXT    CHECK (start_date LIKE '____-__-__'),
    end_date      TEXT    CHECK (end_date LIKE '____-__-__'),
    created_at    TIMESTAMPTZ NOT NULL,
    updated_at    TIMESTAMPTZ NOT NULL,
    CHECK (end_date >= start_date)
);
CREATE INDEX work_experiences_by_talent ON work_experiences (talent_id, experience_id);
CREATE INDEX work_experiences_by_company ON work_experiences (company_id);

-- A recommendation that was shown, with what it rested on. It holds nothing that tells who the talent is beside the id.
CREATE TABLE recommendation_logs (
    recommendation_id TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    project_id        TEXT COLLATE "C"    NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    talent_id         TEXT COLLATE "C"    NOT NULL REFERENCES talents (talent_id) ON DELETE CASCADE,
    plugin_name       TEXT    NOT NULL,
    plugin_version    TEXT    NOT NULL,
    plugin_digest     TEXT    NOT NULL,
    language          TEXT    NOT NULL,
    position          BIGINT NOT NULL CHECK (position >= 1),
    score             DOUBLE PRECISION    NOT NULL,
    parts             JSONB    NOT NULL,
    signals           JSONB    NOT NULL,
    explanation       JSONB    NOT NULL,
    requested_by      TEXT    NOT NULL,
    feedback          TEXT    CHECK (feedback IN ('relevant', 'irrelevant', 'contacted', 'hired', 'rejected')),
    comment           TEXT,
    feedback_by       TEXT,
    feedback_at       TIMESTAMPTZ,
    created_at        TIMESTAMPTZ NOT NULL
);
CREATE INDEX recommendation_logs_by_project ON recommendation_logs (project_id, created_at);
CREATE INDEX recommendation_logs_by_talent ON recommendation_logs (talent_id, created_at);
