"""The records on farshore's topics, one file a topic; `cloudevent` is the envelope that all of them share."""
