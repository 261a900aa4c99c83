"""The outside world in small: the intranet and two organism sites, over real HTTP.

It stands for systems of others, so it shares nothing with the project but the settings, the
template engine and the origin's file: own urls, own books, none of the project's databases.
"""
