"""What happens to profiles, as functions of values: standard library only, no clock, no chance, no I/O.

To be read in this order:

* `profile`: the nouns. Profiles and their sections, identifiers, consent, problems, occurrences.
* `commands`, `device_commands`: what clients ask for, one class for each kind of object.
* `apply`: the reducer. It takes requests and a state, and applies one command after another.
* `effects`: the table of all commands. What each does, whom it looks up, which sections it needs.
* `order`: in which order the objects of a request take effect.
* `state`, `address_book`, `changes`: the part of a workspace that a batch can see, and the record of what it changed.
* `step`: one request on its way, with the problems that it leaves.
* `resolve`: which profile a command addresses.
* `loading`: what the store has to load before commands can be applied.
* `track`, `consent`, `custom_attributes`: what attributes, events and purchases do.
* `subscriptions`, `messages`: what subscription calls do, and what is told of addresses and of messages.
* `sdk`, `batches`, `devices`, `tracking`: what devices of apps send: visitors, log-ins, sessions, push tokens.
* `spam`: profiles of nobody, which collect what thousands do, and are blocked.
* `archival`: who is deleted because nobody has heard of them for long.
* `identity`, `guard`: what identify, merge, aliases, deletion and renames do, and which merges are refused.
* `merging`: the rule of each field, the plan of a merge, performing it, taking it back; `match` and `duplicates`: which
  profiles merge rules join.
* `segments/`: filters as values, and who matches them: the reference for the store's SQL.
* `data_rules`, `settings`: what a workspace decided, and how it changes what commands do.

Smaller things that all of them use: `identifiers` (what leads to a profile), `ids` (numbers and ids that we make),
`history` (lines of a profile's history), `reasons` (why something had no effect), `sizes` (how large a profile is),
`work` (what a request may cost), `numbers`, `times`.
"""
