-- where a job that walks through everything, some of it at each run, goes on
ALTER TABLE recurring_jobs ADD COLUMN place BINARY(16) NULL
