"""Builders, fakes and servers that the tests share. This folder has no tests."""
