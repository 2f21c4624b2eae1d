// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Meter} from "../src/Meter.sol";

interface Vm {
    function envAddress(string calldata name) external view returns (address);
}

/// What the chain holds is there in forge's fork of it, and can be moved there.
contract ForkTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function test_a_contract_of_the_chain_works_in_a_fork() external {
        Meter meter = Meter(vm.envAddress("METER"));
        require(meter.count() == 5, "state");
        require(meter.add(7, "seven") == 12, "call");
        try meter.add(101, "too much") {
            revert("a custom error was expected");
        } catch (bytes memory error) {
            require(bytes4(error) == Meter.TooMuch.selector, "error");
        }
    }
}
