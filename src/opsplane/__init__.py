"""The operations plane of a microservice platform in one Python package."""
