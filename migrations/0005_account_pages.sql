-- What the pages of one's own account show beyond what was kept already. Only additions.

-- By which browser somebody signed in: its User-Agent, shortened. It is written at sign-in and goes with the session. The
-- address is not kept: a person knows their devices by name, and whoever reads the database learns nobody's whereabouts.
ALTER TABLE browser_sessions ADD COLUMN user_agent TEXT;

-- The newest referrals of somebody, for the picture of the last months.
CREATE INDEX referrals_referrer_created ON referrals (referrer_id, created_at);
