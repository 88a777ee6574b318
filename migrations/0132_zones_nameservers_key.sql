-- live zones that do not have the newest nameservers yet
ALTER TABLE zones ADD KEY zones_nameservers (status, nameservers_version, id)
