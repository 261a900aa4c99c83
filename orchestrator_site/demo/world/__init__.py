"""The outside world in small: the intranet, two organism sites, the scrapers, and the
virtual offices of two utilities, over real HTTP.

It stands for systems of others, so it shares nothing with the project but the settings, the
template engine and the origin's file: own urls, own books, none of the project's databases.
"""
