// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// What the clients' tests call: state, logs, reverts of each kind, value, and a loop to trace.
contract Meter {
    event Counted(address indexed by, uint256 indexed at, string note);

    error TooMuch(uint256 asked, uint256 most);

    uint256 public count;
    mapping(address => uint256) public paid;

    constructor(uint256 start) {
        count = start;
    }

    function add(uint256 by, string calldata note) external returns (uint256) {
        if (by > 100) revert TooMuch(by, 100);
        count += by;
        emit Counted(msg.sender, count, note);
        return count;
    }

    function fail(string calldata why) external pure {
        revert(why);
    }

    function pay() external payable {
        paid[msg.sender] += msg.value;
    }

    function spin(uint256 rounds) external view returns (uint256 sum) {
        for (uint256 i = 0; i < rounds; i++) sum += this.count();
    }
}
