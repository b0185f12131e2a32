"""The reference commerce platform: five services written as a user would write their own."""
