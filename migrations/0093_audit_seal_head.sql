INSERT INTO audit_seal_marks (name, sequence, seal) VALUES ('head', 0, REPEAT(CHAR(0), 32))
